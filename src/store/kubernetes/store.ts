import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Registry } from '../../resources/registry.ts';
import { keyOf, keyText, type Resource } from '../../resources/resource.ts';
import { createChangeFeed } from '../change-feed.ts';
import { planWrites, toStored } from '../plan-writes.ts';
import { createResourceTable } from '../resource-table.ts';
import { singleWrites } from '../single-writes.ts';
import { type ResourceStore, StoreError, type Write } from '../store.ts';
import { type Collection, createCollection } from './collection.ts';
import { type ObjectForm, objectFormOf } from './object-form.ts';
import { createWriter, type Done, type Wanted } from './write.ts';

export interface KubernetesStoreOptions {
  readonly client: KubeClient;
  /** Every kind that is stored. */
  readonly registry: Registry;
  readonly systemNamespace: string;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

/** Writes of one transaction under way at a time; the API server takes far more, and other callers share the connections. */
const PARALLEL = 32;
const SYNC_MS = 30_000;

/**
 * Resources as objects of a cluster. Reads and watches come from live copies, one for each kind; a write goes to the API server, and its answer is in the copy
 * before the writer has it. Versions are resource versions. Opens when everything has been listed once; throws `unavailable` when a kind cannot be listed,
 * with the reason. The client stays its owner's.
 */
export async function createKubernetesStore(options: KubernetesStoreOptions): Promise<ResourceStore> {
  const { client, registry, systemNamespace, clock, random, log } = options;
  const closing = new AbortController();
  const table = createResourceTable();
  const feed = createChangeFeed((types) => table.all(types));
  const forms = registry.list().map((kind) => objectFormOf(kind, systemNamespace));
  await Promise.all(forms.map((form) => requireAccess(client, form)));
  const collections = new Map<string, Collection>();
  for (const form of forms) {
    const collection = createCollection({
      form,
      client,
      clock,
      random,
      log,
      signal: closing.signal,
      table,
      publish: (changes) => feed.publish(changes),
      relisted: () => feed.publishSynced(),
    });
    collections.set(form.kind.type, collection);
  }
  const collectionOf = (type: string): Collection => {
    const found = collections.get(type);
    if (found === undefined) throw new StoreError('refused', `use the Kubernetes store: it has no kind "${type}"`);
    return found;
  };
  const write = createWriter({ client, clock, signal: closing.signal, systemNamespace, collection: collectionOf });
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= (async () => {
      feed.close();
      closing.abort();
      await Promise.all([...collections.values()].map((collection) => collection.close()));
    })();
    return closed;
  };
  try {
    await allSynced([...collections.values()], clock);
  } catch (error) {
    await close();
    throw error;
  }

  function assertOpen(): void {
    if (closed !== undefined) throw new StoreError('unavailable', 'use the Kubernetes store: it is closed');
  }

  /** Checked as a whole first, then made key by key; when one fails, those already made are undone, the last one first. */
  async function transact(writes: readonly Write[]): Promise<readonly Resource[]> {
    assertOpen();
    const wanted = wantedOf(writes, (key) => collections.get(key.type)?.find(key)?.resource);
    const done = new Map<string, Done>();
    const make = async (one: Wanted) => void done.set(textOf(one), await write(one));
    try {
      // Deletes last: what was deleted cannot be made again as it was.
      const [deletes, others] = [wanted.filter(isDelete), wanted.filter((one) => !isDelete(one))];
      await inParallel(others, PARALLEL, make);
      await inParallel(deletes, PARALLEL, make);
    } catch (error) {
      for (const [key, one] of [...done].reverse()) {
        await one.undo().catch((undoError: unknown) => {
          log.warn('a transaction failed, and one of its writes could not be undone', { key, error: undoError });
        });
      }
      throw error;
    }
    return writes.flatMap((one) =>
      one.op === 'delete' ? [] : [done.get(keyText(keyOf(one.resource)))?.resource ?? one.resource],
    );
  }

  return {
    engine: 'kubernetes',
    async get(key) {
      assertOpen();
      return table.get(key);
    },
    async list(query) {
      assertOpen();
      return table.list(query);
    },
    async count(mesh) {
      assertOpen();
      return table.count(mesh);
    },
    ...singleWrites(transact),
    transact,
    watch: (watch) => feed.subscribe(watch),
    close,
  };
}

/** One list call tells a missing definition or right from a server that is only slow. */
async function requireAccess(client: KubeClient, { kind, type, selection }: ObjectForm): Promise<void> {
  try {
    await client.list(type, { ...selection, limit: 1 });
  } catch (error) {
    const hint =
      error instanceof KubeError && error.code === 'not-found'
        ? '; its definition is missing: weft install crds | kubectl apply --server-side -f -'
        : '';
    const reason = error instanceof Error ? error.message : String(error);
    throw new StoreError('unavailable', `open the Kubernetes store, kind ${kind.type}: ${reason}${hint}`, {
      cause: error,
    });
  }
}

async function allSynced(collections: readonly Collection[], clock: Clock): Promise<void> {
  const waiting = new Set(collections);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = clock.after(SYNC_MS, () => {
    const kinds = [...waiting].map(({ form }) => form.kind.type).join(', ');
    reject(new StoreError('unavailable', `open the Kubernetes store: not listed in ${SYNC_MS} ms: ${kinds}`));
  });
  try {
    const synced = collections.map((one) => one.synced.then(() => waiting.delete(one)));
    await Promise.race([Promise.all(synced), late]);
  } finally {
    timer.cancel();
  }
}

/**
 * What each key shall be in the end: several writes of one key are one. Throws the `StoreError` of the first write that may not be, as every engine does;
 * what the copy does not know yet, the API server checks.
 */
function wantedOf(
  writes: readonly Write[],
  stored: (key: { type: string; mesh: string; name: string }) => Resource | undefined,
): readonly Wanted[] {
  const plan = planWrites(writes, {
    stored: (key) => {
      const resource = stored(key);
      return resource === undefined ? undefined : toStored(resource);
    },
    lastVersion: 0,
    now: '',
  });
  const firsts = new Map<string, Write>();
  for (const one of writes) {
    const text = keyText(one.op === 'delete' ? one.key : keyOf(one.resource));
    if (!firsts.has(text)) firsts.set(text, one);
  }
  return [...plan.outcomes].map(([text, { key, resource }]): Wanted => {
    const first = firsts.get(text)!;
    const version =
      (first.op === 'update' || first.op === 'delete') && first.version !== undefined ? { version: first.version } : {};
    if (resource === undefined) return { op: 'delete', key, ...version };
    switch (first.op) {
      case 'create':
        return { op: 'create', resource };
      case 'put':
        return { op: 'put', resource };
      case 'update':
        return { op: 'update', resource, ...version };
      case 'delete':
        // Deleted and made again within one transaction: replaced.
        return { op: 'update', resource, ...version };
      default:
        return first satisfies never;
    }
  });
}

function isDelete(wanted: Wanted): boolean {
  return wanted.op === 'delete';
}

function textOf(wanted: Wanted): string {
  return keyText(wanted.op === 'delete' ? wanted.key : keyOf(wanted.resource));
}

/** Runs `work` over all items, so many at a time. After a failure nothing new is begun; what is under way is waited for, then the first failure is thrown. */
async function inParallel<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < items.length && !failed) {
      const item = items[next]!;
      next += 1;
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, lane));
  for (const outcome of lanes) if (outcome.status === 'rejected') throw outcome.reason;
}
