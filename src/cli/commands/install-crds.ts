import { crds } from '../../k8s/api/crds.ts';
import { policyKinds } from '../../policies/index.ts';
import { coreKinds } from '../../resources/kinds/index.ts';
import type { Invocation } from '../command.ts';
import { printManifests } from '../output/manifests.ts';

/** `weft install crds`: one YAML document for each definition. */
export async function run(invocation: Invocation): Promise<void> {
  await printManifests(invocation, crds([...coreKinds, ...policyKinds]));
}
