import type { BackendMemories, BackendMemory } from '../identity/coordinator-memory.ts';
import { contentHash } from '../lib/hash.ts';
import type { IssuanceStateSpec } from '../resources/kinds/issuance-state.ts';
import type { ResourceStore, Write } from '../store/store.ts';

/** What issuance remembers of CA backends, as internal resources of the store. */
export function createBackendMemories(store: ResourceStore): BackendMemories {
  return {
    async load() {
      const { items } = await store.list({ type: 'IssuanceState' });
      return items.map(({ meta, spec }) => ({ mesh: meta.mesh, ...(spec as IssuanceStateSpec) }));
    },
    async save(memories) {
      await store.transact(
        memories.map((one): Write => {
          const { mesh, ...spec } = one;
          const meta = { mesh, name: nameOf(one), labels: {}, creationTime: '', modificationTime: '', version: '' };
          return { op: 'put', resource: { type: 'IssuanceState', meta, spec } };
        }),
      );
    },
    async remove(backends) {
      for (const one of backends) {
        const key = { type: 'IssuanceState', mesh: one.mesh, name: nameOf(one) };
        if ((await store.get(key)) !== undefined) await store.delete(key).catch(() => undefined);
      }
    },
  };
}

/** A backend may have any name; an object of a cluster may not, and has all meshes in one namespace. */
function nameOf({ mesh, backend }: Pick<BackendMemory, 'mesh' | 'backend'>): string {
  return `backend-${contentHash(JSON.stringify([mesh, backend]))}`;
}
