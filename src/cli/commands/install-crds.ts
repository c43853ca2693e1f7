import { crds } from '../../k8s/api/crds.ts';
import { policyKinds } from '../../policies/index.ts';
import { coreKinds } from '../../resources/kinds/index.ts';
import type { Invocation } from '../command.ts';
import { printText, yamlText } from '../output/print.ts';

/** `weft install crds`: one YAML document for each definition. */
export async function run(invocation: Invocation): Promise<void> {
  const definitions = crds([...coreKinds, ...policyKinds]);
  const documents = await Promise.all(definitions.map(yamlText));
  await printText(invocation, documents.join('---\n'), definitions);
}
