import { keyOf, type Resource, type ResourceKey } from '../resources/resource.ts';
import { type ResourceStore, StoreError, type Write } from '../store/store.ts';

/** What goes with a Mesh: every kind of a mesh, and records of the control plane about it. */
export interface DeleteScope {
  /** All mesh-scoped types, internal ones included. */
  readonly meshTypes: readonly string[];
  /** Types whose record has the same mesh and name as the resource: `Dataplane` to `DataplaneInsight`, `Mesh` to `MeshInsight`. */
  readonly companions: Readonly<Record<string, readonly string[]>>;
}

const ATTEMPTS = 5;

/**
 * Deletes a resource and what belongs to it, all or nothing: a Mesh with everything in it, a Dataplane with its insight.
 * Something written in between is found by trying again. Throws `StoreError`.
 */
export async function deleteWithOwned(store: ResourceStore, resource: Resource, scope: DeleteScope): Promise<void> {
  for (let left = ATTEMPTS; ; left--) {
    const keys = [...(await ownedKeys(store, resource, scope)), keyOf(resource)];
    try {
      await store.transact(keys.map((key): Write => ({ op: 'delete', key })));
      return;
    } catch (error) {
      const isGone = error instanceof StoreError && (error.code === 'not-found' || error.code === 'conflict');
      if (!isGone || left <= 1 || (await store.get(keyOf(resource))) === undefined) throw error;
    }
  }
}

async function ownedKeys(
  store: ResourceStore,
  resource: Resource,
  scope: DeleteScope,
): Promise<readonly ResourceKey[]> {
  const { mesh, name } = resource.meta;
  const companions = (scope.companions[resource.type] ?? []).map((type) => ({ type, mesh, name }));
  const present = await Promise.all(companions.map(async (key) => ((await store.get(key)) ? [key] : [])));
  if (resource.type !== 'Mesh') return present.flat();
  const lists = await Promise.all(scope.meshTypes.map((type) => store.list({ type, mesh: name })));
  return [...present.flat(), ...lists.flatMap((page) => page.items.map(keyOf))];
}
