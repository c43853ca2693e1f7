import { keyOf, type Resource, type ResourceKey } from '../resources/resource.ts';
import { hasFilters, matchesFilters, pageOf } from './page.ts';
import type { Change, ListQuery, Page } from './store.ts';

/** A change as the table made it; `existed` says whether the key was there before. */
export interface TableChange {
  readonly change: Exclude<Change, { op: 'synced' }>;
  readonly existed: boolean;
}

/** Frozen resources by type, mesh and name, with sorted names at hand. Holds no copies: what goes in comes out. */
export interface ResourceTable {
  get(key: ResourceKey): Resource | undefined;
  /** As `ResourceStore.list`; throws `invalid-offset`. */
  list(query: ListQuery): Page;
  /** As `ResourceStore.count`. */
  count(mesh?: string): ReadonlyMap<string, number>;
  /** Everything of these types (absent: all), in no order that means something. */
  all(types?: Iterable<string>): Iterable<Resource>;
  /** Puts the resource, or removes the key when there is none. `undefined`: nothing was there to remove. */
  set(key: ResourceKey, resource: Resource | undefined): TableChange | undefined;
}

interface Shelf {
  readonly byName: Map<string, Resource>;
  /** Sorted resources as last listed; absent after a write. */
  sorted: readonly Resource[] | undefined;
  /** Every name of `byName`, and maybe some that are gone; sorted up to the last listing. */
  names: string[];
  namesChanged: boolean;
}

export function createResourceTable(): ResourceTable {
  const types = new Map<string, Map<string, Shelf>>();

  function put(key: ResourceKey, resource: Resource): TableChange {
    let meshes = types.get(key.type);
    if (meshes === undefined) {
      meshes = new Map();
      types.set(key.type, meshes);
    }
    let shelf = meshes.get(key.mesh);
    if (shelf === undefined) {
      shelf = { byName: new Map(), sorted: undefined, names: [], namesChanged: false };
      meshes.set(key.mesh, shelf);
    }
    const existed = shelf.byName.has(key.name);
    shelf.byName.set(key.name, resource);
    shelf.sorted = undefined;
    if (!existed) {
      shelf.names.push(key.name);
      shelf.namesChanged = true;
    }
    return { change: { op: 'upsert', resource }, existed };
  }

  function remove(key: ResourceKey): TableChange | undefined {
    const meshes = types.get(key.type);
    const shelf = meshes?.get(key.mesh);
    const old = shelf?.byName.get(key.name);
    if (meshes === undefined || shelf === undefined || old === undefined) return undefined;
    shelf.byName.delete(key.name);
    shelf.sorted = undefined;
    shelf.namesChanged = true;
    if (shelf.byName.size === 0) meshes.delete(key.mesh);
    if (meshes.size === 0) types.delete(key.type);
    return { change: { op: 'delete', key: keyOf(old), resource: old }, existed: true };
  }

  function inMeshes(type: string, mesh: string | undefined): readonly Resource[] {
    const meshes = types.get(type);
    if (meshes === undefined) return [];
    if (mesh !== undefined) return sortedOf(meshes.get(mesh));
    if (meshes.size === 1) return sortedOf(meshes.values().next().value);
    return [...meshes.keys()].sort().flatMap((name) => sortedOf(meshes.get(name)));
  }

  return {
    get: (key) => types.get(key.type)?.get(key.mesh)?.byName.get(key.name),
    list(query) {
      const everything = inMeshes(query.type, query.mesh);
      return pageOf(hasFilters(query) ? everything.filter((one) => matchesFilters(one, query)) : everything, query);
    },
    count(mesh) {
      const counts = new Map<string, number>();
      for (const [type, meshes] of types) {
        let sum = 0;
        if (mesh !== undefined) sum = meshes.get(mesh)?.byName.size ?? 0;
        else for (const shelf of meshes.values()) sum += shelf.byName.size;
        if (sum > 0) counts.set(type, sum);
      }
      return counts;
    },
    *all(only) {
      for (const type of only ?? types.keys()) {
        for (const shelf of types.get(type)?.values() ?? []) yield* shelf.byName.values();
      }
    },
    set: (key, resource) => (resource === undefined ? remove(key) : put(key, resource)),
  };
}

/** The shelf's resources by name. Names are sorted only when one came or went: a sorted run with a tail, which the engine's sort likes. */
function sortedOf(shelf: Shelf | undefined): readonly Resource[] {
  if (shelf === undefined) return [];
  if (shelf.sorted !== undefined) return shelf.sorted;
  if (shelf.namesChanged) {
    const sorted = shelf.names.filter((name) => shelf.byName.has(name)).sort();
    // A name that was removed and came back stands there twice.
    shelf.names = sorted.filter((name, index) => name !== sorted[index - 1]);
    shelf.namesChanged = false;
  }
  shelf.sorted = Object.freeze(shelf.names.map((name) => shelf.byName.get(name)!));
  return shelf.sorted;
}
