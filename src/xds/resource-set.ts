import type { EncodedResource, ResourceSet, TypedResources, TypeUrl } from '../xds-server/xds.ts';

/** Collects resources by type and name; a later one of the same name replaces the former. */
export interface ResourceCollector {
  add(type: TypeUrl, resource: EncodedResource): void;
  /** Resources that many proxies have, made by `finish` of another collector; those of the same name in `add` go before, `without` are left out. */
  share(shared: ResourceSet, without: readonly string[]): void;
  /** Everything added: types and names in order. What equals `previous` is `previous`' own map, up to the whole set. */
  finish(previous: ResourceSet | undefined): ResourceSet;
}

/** What a map was put together from, so that equal parts give the same map without looking at each resource. */
export type Layers = WeakMap<TypedResources, { shared: TypedResources; own: TypedResources; without: string }>;

export function createResourceCollector(layers: Layers): ResourceCollector {
  const types = new Map<TypeUrl, Map<string, EncodedResource>>();
  let common: ResourceSet = new Map();
  let without: readonly string[] = [];

  /** `before` itself when it holds the same. */
  function merge(type: TypeUrl, before: TypedResources | undefined): TypedResources {
    const own = types.get(type) ?? NOTHING;
    const shared = common.get(type);
    if (shared === undefined) return before !== undefined && equalResources(before, own) ? before : sorted(own);
    if (own.size === 0 && without.length === 0) return shared;
    const layer = { shared, own, without: without.join(' ') };
    const known = before && layers.get(before);
    if (known?.shared === shared && known.without === layer.without && equalResources(known.own, own)) return before!;
    const both = new Map(shared);
    for (const name of without) both.delete(name);
    for (const [name, resource] of own) both.set(name, resource);
    const merged = before !== undefined && equalResources(before, both) ? before : sorted(both);
    layers.set(merged, layer);
    return merged;
  }

  return {
    add(type, resource) {
      const resources = types.get(type);
      if (resources) resources.set(resource.name, resource);
      else types.set(type, new Map([[resource.name, resource]]));
    },
    share(shared, names) {
      common = shared;
      without = names;
    },
    finish(previous) {
      const names = [...new Set([...types.keys(), ...common.keys()])].sort();
      const set = new Map(names.map((type) => [type, merge(type, previous?.get(type))]));
      const same = previous?.size === set.size && names.every((type) => previous.get(type) === set.get(type));
      return same && previous !== undefined ? previous : set;
    },
  };
}

const NOTHING: TypedResources = new Map();

function sorted(resources: TypedResources): TypedResources {
  return new Map([...resources].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function equalResources(before: TypedResources, now: ReadonlyMap<string, EncodedResource>): boolean {
  if (before.size !== now.size) return false;
  for (const [name, resource] of now) {
    const other = before.get(name);
    if (other !== resource && other?.version !== resource.version) return false;
  }
  return true;
}
