import type { Kind } from '../resources/kind.ts';
import { type DataplaneSpec, dataplaneKind } from '../resources/kinds/dataplane.ts';
import { prepareDataplane } from '../resources/kinds/dataplane-prepare.ts';
import { computeLabels, type LabelContext } from '../resources/labels.ts';
import type { Resource } from '../resources/resource.ts';
import { parseUniversal } from '../resources/universal.ts';
import { parseYamlDocuments } from '../resources/yaml.ts';

/**
 * The Dataplane that a proxy brings along as YAML or JSON, as it will be stored: for `mesh` and `name`, validated, with zone and computed labels.
 * Throws an `Error` whose message names every violation. Source: kuma-compat 4.1 "Life cycle".
 */
export function parseBroughtDataplane(
  text: string,
  mesh: string,
  name: string,
  context: LabelContext,
): Resource<DataplaneSpec> {
  const { resource, type } = parseUniversal(dataplaneKind as Kind, readObject(text));
  const given = resource as Resource<DataplaneSpec>;
  const problems: string[] = [];
  if (type !== 'Dataplane') problems.push(`type: must be Dataplane, got "${type}"`);
  if (given.meta.name !== name) problems.push(`name: must be "${name}" as the proxy says, got "${given.meta.name}"`);
  if ((given.meta.mesh || 'default') !== mesh)
    problems.push(`mesh: must be "${mesh}" as the proxy says, got "${given.meta.mesh}"`);
  for (const violation of dataplaneKind.validate(given.spec, given))
    problems.push(`${violation.field}: ${violation.message}`);
  if (problems.length > 0) throw new Error(problems.join('; '));
  const dataplane = {
    ...given,
    meta: { ...given.meta, mesh },
    spec: prepareDataplane(given.spec, { zone: context.zone, isNew: false }),
  };
  return {
    ...dataplane,
    meta: { ...dataplane.meta, labels: computeLabels(dataplaneKind as Kind, dataplane, context) },
  };
}

/** JSON is tried first: it is what a launcher that already read the file sends, and it is much cheaper than YAML. */
function readObject(text: string): unknown {
  if (text.trimStart().startsWith('{')) {
    try {
      return JSON.parse(text);
    } catch {
      // Not JSON after all: a YAML flow mapping starts the same way.
    }
  }
  const documents = parseYamlDocuments(text);
  if (documents.length !== 1)
    throw new Error(`read the Dataplane: expected one YAML document, got ${documents.length}`);
  return documents[0]!.value;
}
