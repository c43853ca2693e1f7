import { VERSION } from '../../control-plane/version.ts';
import { assignedValue } from '../../install/complete-values.ts';
import { controlPlaneManifests, ValuesError } from '../../install/manifests.ts';
import { crds } from '../../k8s/api/crds.ts';
import { policyKinds } from '../../policies/index.ts';
import { coreKinds } from '../../resources/kinds/index.ts';
import { parseYamlDocuments, YamlError } from '../../resources/yaml.ts';
import { type Invocation, mapOption, textOption } from '../command.ts';
import { CliError, usageError } from '../errors.ts';
import { printManifests } from '../output/manifests.ts';
import { readDocuments } from './documents.ts';

/** `weft install control-plane`. */
export async function run(invocation: Invocation): Promise<void> {
  const values = [{ namespace: { create: true } }, ...(await valuesOfFiles(invocation)), ...valuesOfFlags(invocation)];
  const namespace = textOption(invocation, 'namespace') ?? 'kong-mesh-system';
  try {
    const objects = controlPlaneManifests({
      namespace,
      version: VERSION,
      values,
      crds: crds([...coreKinds, ...policyKinds]),
    });
    await printManifests(invocation, objects);
  } catch (error) {
    if (!(error instanceof ValuesError)) throw error;
    const fields = error.problems.map(({ field, reason, suggestion }) => ({
      field,
      reason: suggestion === undefined ? reason : `${reason}, did you mean ${suggestion}?`,
    }));
    const next = 'every value is in deploy/helm/weft/README.md';
    throw new CliError('input', 'read values', { fields, next, cause: error });
  }
}

async function valuesOfFiles({ options, io }: Invocation): Promise<readonly unknown[]> {
  const files = Array.isArray(options['values']) ? (options['values'] as readonly string[]) : [];
  const sources = await Promise.all(files.map((file) => readDocuments(file, io)));
  return sources.flat().flatMap(({ name, text }) => {
    try {
      return parseYamlDocuments(text).map((document) => document.value);
    } catch (error) {
      if (error instanceof YamlError) throw new CliError('input', `read ${name}: ${error.message}`, { cause: error });
      throw error;
    }
  });
}

/** What the flags say, after the files: the general ones last, so that `--replicas` wins over `--set`. */
function valuesOfFlags(invocation: Invocation): readonly unknown[] {
  const set = Object.entries(mapOption(invocation, 'set')).map(([path, text]) => assignedValue(path, text));
  const replicas = textOption(invocation, 'replicas');
  if (replicas !== undefined) set.push(assignedValue('controlPlane.replicas', replicas));
  const images = { controlPlane: 'controlPlaneImage', dataPlane: 'proxyImage' };
  for (const [plane, option] of Object.entries(images)) {
    const image = textOption(invocation, option);
    if (image !== undefined) set.push({ [plane]: { image: imageParts(image) } });
  }
  return set;
}

/** `registry/path/name:tag` in its parts. */
function imageParts(image: string): { readonly registry: string; readonly repository: string; readonly tag: string } {
  const parts = /^(?<registry>[^@]+)\/(?<repository>[^/@:]+):(?<tag>[^/@:]+)$/.exec(image)?.groups;
  if (parts === undefined)
    throw usageError(`"${image}" is not an image with a registry and a tag`, 'give it as registry/path/name:tag');
  return { registry: parts['registry']!, repository: parts['repository']!, tag: parts['tag']! };
}
