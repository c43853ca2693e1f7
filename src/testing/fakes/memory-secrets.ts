import type { SecretCreator } from '../../auth/secrets.ts';

export interface MemorySecrets extends SecretCreator {
  set(mesh: string, name: string, value: string | Uint8Array): void;
  remove(mesh: string, name: string): void;
  /** Number of `readSecret` calls so far. */
  reads(): number;
  /** From now on every read fails with this error; `undefined` heals it. */
  fail(error: Error | undefined): void;
}

/** Secrets in a map, behaving as those of a store. */
export function createMemorySecrets(): MemorySecrets {
  const values = new Map<string, Uint8Array>();
  let reads = 0;
  let failure: Error | undefined;
  return {
    async readSecret(mesh, name) {
      reads++;
      if (failure) throw failure;
      return values.get(`${mesh}/${name}`);
    },
    async listSecretNames(mesh, prefix) {
      if (failure) throw failure;
      const start = `${mesh}/`;
      return [...values.keys()].filter((id) => id.startsWith(start + prefix)).map((id) => id.slice(start.length));
    },
    async createSecret(mesh, name, value) {
      await Promise.resolve();
      if (values.has(`${mesh}/${name}`)) return false;
      values.set(`${mesh}/${name}`, value);
      return true;
    },
    set: (mesh, name, value) =>
      void values.set(`${mesh}/${name}`, typeof value === 'string' ? Buffer.from(value) : value),
    remove: (mesh, name) => void values.delete(`${mesh}/${name}`),
    reads: () => reads,
    fail: (error) => {
      failure = error;
    },
  };
}
