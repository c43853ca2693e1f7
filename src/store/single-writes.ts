import type { ResourceStore } from './store.ts';

/** `create`, `update` and `delete` of a store: each is a transaction of one write, and rejects as `transact` does. */
export function singleWrites(transact: ResourceStore['transact']): Pick<ResourceStore, 'create' | 'update' | 'delete'> {
  return {
    async create(resource) {
      return (await transact([{ op: 'create', resource }]))[0]!;
    },
    async update(resource, version) {
      return (await transact([{ op: 'update', resource, ...(version !== undefined && { version }) }]))[0]!;
    },
    async delete(key, version) {
      await transact([{ op: 'delete', key, ...(version !== undefined && { version }) }]);
    },
  };
}
