import type { PendingRecord, PendingRecords } from '../ca/backend.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { PendingLeafSpec } from '../resources/kinds/pending-leaf.ts';
import { keyOf, type Resource } from '../resources/resource.ts';
import { type ResourceStore, StoreError, type Write } from '../store/store.ts';

const TYPE = 'PendingLeaf';
const FLUSH_MS = 100;
const RETRY_MS = 2000;
const BATCH = 500;

/** Certificates under way as internal resources of the store, written many at a time and beside the work. Those whose time is over are swept once, at the start. */
export function createPendingLeaves(options: {
  store: ResourceStore;
  clock: Clock;
  log: Logger;
}): PendingRecords & { close(): Promise<void> } {
  const { store, clock, log } = options;
  /** By id of the proxy; `undefined`: its record goes. */
  const changed = new Map<string, { mesh: string; proxy: string; record: PendingRecord | undefined }>();
  /** Proxies with a record in the store, as far as this process wrote or read it: others need no removal. */
  const stored = new Set<string>();
  let timer: Timer | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;
  const swept = sweep().catch((error: unknown) => log.warn('sweeping certificates under way failed', { error }));

  const idOf = (mesh: string, proxy: string) => `${mesh}/${proxy}`;

  function change(mesh: string, proxy: string, record: PendingRecord | undefined): void {
    const id = idOf(mesh, proxy);
    if (record === undefined && !stored.has(id)) changed.delete(id);
    else changed.set(id, { mesh, proxy, record });
    arm(FLUSH_MS);
  }

  function arm(delayMs: number): void {
    if (timer !== undefined || writing !== undefined || closed || changed.size === 0) return;
    timer = clock.after(delayMs, () => {
      timer = undefined;
      void flush();
    });
  }

  function flush(): Promise<void> {
    writing ??= write().finally(() => {
      writing = undefined;
      arm(RETRY_MS);
    });
    return writing;
  }

  async function write(): Promise<void> {
    while (changed.size > 0) {
      const batch = [...changed].slice(0, BATCH);
      for (const [id, { record }] of batch) {
        changed.delete(id);
        if (record !== undefined) stored.add(id);
      }
      try {
        const writes = batch.flatMap(([, { record }]) => (record === undefined ? [] : [putOf(record)]));
        if (writes.length > 0) await store.transact(writes);
        for (const [id, { record, ...key }] of batch) if (record === undefined) await remove(id, key);
      } catch (error) {
        log.warn('storing certificates under way failed, trying again', { count: batch.length, error });
        for (const [id, one] of batch) if (!changed.has(id)) changed.set(id, one);
        return;
      }
    }
  }

  async function remove(id: string, { mesh, proxy }: { mesh: string; proxy: string }): Promise<void> {
    try {
      await store.delete({ type: TYPE, mesh, name: proxy });
    } catch (error) {
      // It went with its Dataplane or its Mesh.
      if (!(error instanceof StoreError && error.code === 'not-found')) throw error;
    }
    stored.delete(id);
  }

  async function sweep(): Promise<void> {
    const { items } = await store.list({ type: TYPE });
    const old = items.filter((item) => recordOf(item).until <= clock.now());
    if (old.length > 0) await store.transact(old.map((item): Write => ({ op: 'delete', key: keyOf(item) })));
  }

  return {
    async find(mesh, proxy) {
      const id = idOf(mesh, proxy);
      const unwritten = changed.get(id);
      if (unwritten !== undefined) return unwritten.record;
      const found = await store.get({ type: TYPE, mesh, name: proxy });
      if (found === undefined) return undefined;
      stored.add(id);
      return recordOf(found);
    },
    save: (record) => change(record.mesh, record.proxy, record),
    remove: (mesh, proxy) => change(mesh, proxy, undefined),
    async close() {
      closed = true;
      timer?.cancel();
      await swept;
      await writing;
      await flush();
    },
  };
}

function putOf(record: PendingRecord): Write {
  const spec: PendingLeafSpec = {
    backend: record.backend,
    ...(record.sealedKey === undefined ? {} : { sealedKey: record.sealedKey }),
    request: JSON.stringify(record.request),
    until: new Date(record.until).toISOString(),
  };
  const { mesh, proxy: name } = record;
  const meta = { mesh, name, labels: {}, creationTime: '', modificationTime: '', version: '' };
  return { op: 'put', resource: { type: TYPE, meta, spec } };
}

function recordOf({ meta, spec }: Resource): PendingRecord {
  const { request, until, ...rest } = spec as PendingLeafSpec;
  return { mesh: meta.mesh, proxy: meta.name, ...rest, request: JSON.parse(request), until: Date.parse(until) };
}
