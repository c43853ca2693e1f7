import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LeafRecord, LeafRecords } from '../identity/sealed.ts';
import type { SealedLeafSpec } from '../resources/kinds/sealed-leaf.ts';
import type { Resource } from '../resources/resource.ts';
import { isShared, type ResourceStore, type Write } from '../store/store.ts';
import { readOrCreateSecret } from './secrets.ts';

const KEY_BYTES = 32;

/**
 * The key that seals issued leaves (decision 0003). With `file` it is kept there, base64, made at the first start with mode 0600, so that the store alone
 * opens nothing. Without (control planes that share a store) it is GlobalSecret `leaf-sealing-key`, so that each can open the others' leaves.
 */
export async function loadSealingKey(store: ResourceStore, file: string): Promise<Buffer> {
  const key =
    file === ''
      ? await readOrCreateSecret(store, '', 'leaf-sealing-key', async () => randomBytes(KEY_BYTES))
      : Buffer.from((await readOrCreateFile(file)).trim(), 'base64');
  if (key.length !== KEY_BYTES) {
    throw new Error(
      file === ''
        ? `read GlobalSecret leaf-sealing-key: expected ${KEY_BYTES} bytes; delete it to have a new one made (leaves are then issued again)`
        : `read ${file} (weft.identity.sealingKeyFile): expected ${KEY_BYTES} bytes in base64; make one with: openssl rand -base64 ${KEY_BYTES}`,
    );
  }
  return key;
}

async function readOrCreateFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const text = `${randomBytes(KEY_BYTES).toString('base64')}\n`;
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, text, { mode: 0o600, flag: 'wx' });
    return text;
  }
}

/** Sealed leaves as internal resources of the store, written many at a time. */
export function createLeafRecords(store: ResourceStore): LeafRecords {
  return {
    async load() {
      const { items } = await store.list({ type: 'SealedLeaf' });
      return items.map(recordOf);
    },
    ...(isShared(store) ? { watch: (changed, signal) => watchRecords(store, changed, signal) } : {}),
    async save(records) {
      await store.transact(
        records.map(({ proxy, ...spec }): Write => {
          const meta = { ...proxy, labels: {}, creationTime: '', modificationTime: '', version: '' };
          return { op: 'put', resource: { type: 'SealedLeaf', meta, spec } };
        }),
      );
    },
    async remove(proxies) {
      for (const proxy of proxies) {
        const key = { type: 'SealedLeaf', ...proxy };
        if ((await store.get(key)) !== undefined) await store.delete(key).catch(() => undefined);
      }
    },
  };
}

function recordOf({ meta: { mesh, name }, spec }: Resource): LeafRecord {
  return { proxy: { mesh, name }, ...(spec as SealedLeafSpec) };
}

async function watchRecords(
  store: ResourceStore,
  changed: (record: LeafRecord) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const batch of store.watch({ types: ['SealedLeaf'], signal })) {
        for (const change of batch) if (change.op === 'upsert') changed(recordOf(change.resource));
      }
    } catch {
      // The store is away; every other watcher says so. What was missed comes with the next list.
    }
    if (!signal.aborted) await sleep(1000, undefined, { signal }).catch(() => undefined);
  }
}
