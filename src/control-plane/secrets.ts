import type { SecretCreator } from '../auth/secrets.ts';
import type { SecretAccess } from '../ca/backend.ts';
import type { Resource } from '../resources/resource.ts';
import { type ResourceStore, StoreError } from '../store/store.ts';

/** A Secret or GlobalSecret with this value. `mesh` '' makes a GlobalSecret. */
function secretResource(mesh: string, name: string, value: Buffer | string): Resource {
  return {
    type: mesh === '' ? 'GlobalSecret' : 'Secret',
    meta: {
      mesh,
      name,
      labels: mesh === '' ? {} : { 'kuma.io/mesh': mesh },
      creationTime: '',
      modificationTime: '',
      version: '',
    },
    spec: { data: Buffer.from(value).toString('base64') },
  };
}

/** Decoded value of a Secret (`mesh` given) or GlobalSecret (`mesh` ''); `undefined` when there is none. */
async function readSecret(store: ResourceStore, mesh: string, name: string): Promise<Buffer | undefined> {
  const resource = await store.get({ type: mesh === '' ? 'GlobalSecret' : 'Secret', mesh, name });
  const data = (resource?.spec as { data?: string } | undefined)?.data;
  return data === undefined ? undefined : Buffer.from(data, 'base64');
}

/** The secret's value; when it is absent, `make()` is stored and returned, unless another replica was faster: then its value is. */
export async function readOrCreateSecret(
  store: ResourceStore,
  mesh: string,
  name: string,
  make: () => Promise<Buffer | string>,
): Promise<Buffer> {
  const existing = await readSecret(store, mesh, name);
  if (existing !== undefined) return existing;
  try {
    const created = secretResource(mesh, name, await make());
    await store.create(created);
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'already-exists')) throw error;
  }
  const stored = await readSecret(store, mesh, name);
  if (stored === undefined) throw new Error(`create secret ${name}: it vanished right after it was written`);
  return stored;
}

/** What CA backends may do with mesh Secrets. */
export function createSecretAccess(store: ResourceStore): SecretAccess {
  return {
    read: (mesh, name) => readSecret(store, mesh, name),
    async createTogether(mesh, secrets) {
      try {
        await store.transact(
          [...secrets].map(([name, value]) => ({ op: 'create' as const, resource: secretResource(mesh, name, value) })),
        );
        return true;
      } catch (error) {
        if (error instanceof StoreError && error.code === 'already-exists') return false;
        throw error;
      }
    },
    async writeTogether(mesh, secrets) {
      await store.transact(
        [...secrets].map(([name, value]) => ({ op: 'put' as const, resource: secretResource(mesh, name, value) })),
      );
    },
  };
}

/** What tokens and the admin user need of secrets; values as stored. */
export function createTokenSecrets(store: ResourceStore): SecretCreator {
  return {
    readSecret: (mesh, name) => readSecret(store, mesh, name),
    async listSecretNames(mesh, prefix) {
      const type = mesh === '' ? 'GlobalSecret' : 'Secret';
      const { items } = await store.list({ type, mesh, nameContains: prefix });
      return items.map((secret) => secret.meta.name).filter((name) => name.startsWith(prefix));
    },
    async createSecret(mesh, name, value) {
      try {
        await store.create(secretResource(mesh, name, Buffer.from(value)));
        return true;
      } catch (error) {
        if (error instanceof StoreError && error.code === 'already-exists') return false;
        throw error;
      }
    },
  };
}
