import { type DataplaneSpec, tagSetsOf } from './kinds/dataplane.ts';
import type { MeshSpec, TagRule } from './kinds/mesh.ts';

type Tags = Readonly<Record<string, string>>;

/**
 * Why a Dataplane may not be in a Mesh: every tag set of the proxy must meet one requirement (if there are any) and no restriction.
 * `undefined`: it may. The first refused tag set decides. Source: Kuma 2.11 `membershipValidator`.
 */
export function membershipProblem(mesh: string, meshSpec: MeshSpec, dataplane: DataplaneSpec): string | undefined {
  const { requirements = [], restrictions = [] } = meshSpec.constraints?.dataplaneProxy ?? {};
  const who = (tags: Tags) => `dataplane cannot be a member of mesh "${mesh}" because its tags "${tagText(tags)}"`;
  for (const tags of tagSetsOf(dataplane)) {
    if (requirements.length > 0 && !requirements.some((rule) => meets(tags, rule))) {
      return `${who(tags)} does not fulfill any requirements defined on the Mesh`;
    }
    const denied = restrictions.find((rule) => meets(tags, rule));
    if (denied !== undefined)
      return `${who(tags)} matches restricted tags "${tagText(denied.tags ?? {})}" defined on the Mesh`;
  }
  return undefined;
}

/** `*` is "present and not empty". */
function meets(tags: Tags, rule: TagRule): boolean {
  return Object.entries(rule.tags ?? {}).every(([key, wanted]) => {
    const value = Object.hasOwn(tags, key) ? tags[key] : '';
    return wanted === '*' && value !== '' ? true : value === wanted;
  });
}

/** `a=1 b=2`, keys in order. */
function tagText(tags: Tags): string {
  return Object.keys(tags)
    .sort()
    .map((key) => `${key}=${tags[key]}`)
    .join(' ');
}
