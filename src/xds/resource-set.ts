import type { EncodedResource, ResourceSet, TypedResources, TypeUrl } from '../xds-server/xds.ts';

/** Collects resources by type and name; a later one of the same name replaces the former. */
export interface ResourceCollector {
  add(type: TypeUrl, resource: EncodedResource): void;
  /** Everything added: types and names in order. What equals `previous` is `previous`' own map, up to the whole set. */
  finish(previous: ResourceSet | undefined): ResourceSet;
}

export function createResourceCollector(): ResourceCollector {
  const types = new Map<TypeUrl, Map<string, EncodedResource>>();
  return {
    add(type, resource) {
      const resources = types.get(type);
      if (resources) resources.set(resource.name, resource);
      else types.set(type, new Map([[resource.name, resource]]));
    },
    finish(previous) {
      const sorted = [...types].sort(([a], [b]) => (a < b ? -1 : 1));
      let same = previous !== undefined && previous.size === sorted.length;
      const set = new Map<TypeUrl, TypedResources>();
      for (const [type, resources] of sorted) {
        const before = previous?.get(type);
        if (before !== undefined && equalResources(before, resources)) {
          set.set(type, before);
        } else {
          same = false;
          set.set(type, new Map([...resources].sort(([a], [b]) => (a < b ? -1 : 1))));
        }
      }
      return same && previous !== undefined ? previous : set;
    },
  };
}

function equalResources(before: TypedResources, now: ReadonlyMap<string, EncodedResource>): boolean {
  if (before.size !== now.size) return false;
  for (const [name, resource] of now) {
    const other = before.get(name);
    if (other !== resource && other?.version !== resource.version) return false;
  }
  return true;
}
