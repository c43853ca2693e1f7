import { nearest } from '../../lib/nearest.ts';
import { CliError, usageError } from '../errors.ts';
import { asJson, asList, asText, fetchJson } from './answers.ts';
import type { ApiClient } from './client.ts';

/** One resource type as the control plane describes it. Source: `GET /_resources`, compatibility reference 5.2. */
export interface ResourceType {
  /** `MeshTrafficPermission` */
  readonly name: string;
  /** REST collection, `meshtrafficpermissions`. */
  readonly path: string;
  readonly scope: 'Global' | 'Mesh';
  readonly readOnly: boolean;
  readonly singular: string;
  readonly plural: string;
  readonly includeInFederation: boolean;
  /** Set for policies: true when the policy selects by `targetRef`. */
  readonly targetRefPolicy: boolean | undefined;
}

/** All types the control plane knows, in its order. */
export async function fetchResourceTypes(client: ApiClient): Promise<readonly ResourceType[]> {
  const answer = await fetchJson(client, { method: 'GET', path: ['_resources'], doing: 'list resource types' });
  return asList(answer['resources']).map((one) => ({
    name: asText(one['name']),
    path: asText(one['path']),
    scope: one['scope'] === 'Global' ? 'Global' : 'Mesh',
    readOnly: one['readOnly'] === true,
    singular: asText(one['singularDisplayName']),
    plural: asText(one['pluralDisplayName']),
    includeInFederation: one['includeInFederation'] === true,
    targetRefPolicy: one['policy'] === undefined ? undefined : asJson(one['policy'])['isTargetRef'] === true,
  }));
}

/** Letter case, dashes, underscores and blanks do not count in a type's name. */
function plain(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, '');
}

function spellings(type: ResourceType): readonly string[] {
  return [type.name, type.path, type.singular, type.plural];
}

/**
 * The type a person means by `word`: kind name, REST path, singular or plural, in any letter case, with or without dashes.
 * Throws a usage error with the nearest name.
 */
export function resolveType(word: string, types: readonly ResourceType[]): ResourceType {
  const wanted = plain(word);
  const found = types.find((type) => spellings(type).some((spelling) => plain(spelling) === wanted));
  if (found !== undefined) return found;
  const words = types.flatMap((type) => [type.path, type.name.toLowerCase()]);
  const near = nearest(word, words) ?? nearest(wanted, words);
  throw usageError(
    `unknown resource type "${word}"`,
    near === undefined ? 'see the types with `weft get --list-types`' : `did you mean ${near}?`,
  );
}

/** The type with this exact kind name, as resources carry it in `type`. Throws `input` with the nearest name. */
export function typeNamed(name: string, types: readonly ResourceType[], where: string): ResourceType {
  const found = types.find((type) => type.name === name);
  if (found !== undefined) return found;
  const near = nearest(
    name,
    types.map((type) => type.name),
  );
  throw new CliError('input', where, {
    fields: [{ field: 'type', reason: name === '' ? 'must be defined' : `unknown type "${name}"` }],
    next: near === undefined ? 'see the types with `weft get --list-types`' : `did you mean ${near}?`,
  });
}

/** URL path of a type's collection, or of one resource. `mesh` does not matter for global types. */
export function pathOf(type: ResourceType, mesh: string | undefined, name?: string): readonly string[] {
  const collection = type.scope === 'Mesh' && mesh !== undefined ? ['meshes', mesh, type.path] : [type.path];
  return name === undefined ? collection : [...collection, name];
}
