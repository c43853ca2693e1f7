import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';

type TagSet = Readonly<Record<string, string>>;

/**
 * Why a Dataplane may not be in its mesh: each tag set of it (each inbound's, or the gateway's) must meet one of the Mesh's requirements,
 * when there are any, and none of its restrictions. `undefined`: it may. Pure. Source: compatibility reference 1.4.
 */
export function membershipRefusal(mesh: Resource<MeshSpec>, dataplane: DataplaneSpec): string | undefined {
  const rules = mesh.spec.constraints?.dataplaneProxy;
  const requirements = rules?.requirements ?? [];
  const restrictions = rules?.restrictions ?? [];
  const cannot = (tags: TagSet) =>
    `dataplane cannot be a member of mesh "${mesh.meta.name}" because its tags "${tagText(tags)}"`;
  for (const tags of tagSets(dataplane)) {
    if (requirements.length > 0 && !requirements.some((rule) => matches(rule.tags ?? {}, tags))) {
      return `${cannot(tags)} does not fulfill any requirements defined on the Mesh`;
    }
    const denied = restrictions.find((rule) => matches(rule.tags ?? {}, tags));
    if (denied) return `${cannot(tags)} matches restricted tags "${tagText(denied.tags ?? {})}" defined on the Mesh`;
  }
  return undefined;
}

function tagSets({ networking }: DataplaneSpec): readonly TagSet[] {
  if (networking?.gateway) return [networking.gateway.tags ?? {}];
  return (networking?.inbound ?? []).map((inbound) => inbound.tags ?? {});
}

/** `*` asks for the tag with any value but the empty one. */
function matches(wanted: TagSet, given: TagSet): boolean {
  return Object.entries(wanted).every(([tag, value]) => {
    const has = Object.hasOwn(given, tag) ? given[tag] : '';
    return value === '*' ? has !== '' : has === value;
  });
}

/** `a=1 b=2`, sorted. */
function tagText(tags: TagSet): string {
  return Object.entries(tags)
    .map(([tag, value]) => `${tag}=${value}`)
    .sort()
    .join(' ');
}
