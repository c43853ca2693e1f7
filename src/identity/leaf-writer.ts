import type { Clock, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { HeldLeaf, ProxyKey } from './identity.ts';
import type { LeafRecords, Sealer } from './sealed.ts';

const FLUSH_MS = 100;
const RETRY_MS = 2000;
const BATCH = 500;

/** Writes sealed leaves beside everything else: many at a time, again after a failure, the newest per proxy. */
export interface LeafWriter {
  save(proxy: ProxyKey, leaf: HeldLeaf): void;
  remove(proxy: ProxyKey): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

export function createLeafWriter(options: {
  records: LeafRecords;
  sealer: Sealer;
  clock: Clock;
  log: Logger;
}): LeafWriter {
  const { records, sealer, clock, log } = options;
  const pending = new Map<string, { proxy: ProxyKey; leaf: HeldLeaf | undefined }>();
  let timer: Timer | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;

  function touch(proxy: ProxyKey, leaf: HeldLeaf | undefined): void {
    pending.set(`${proxy.mesh}/${proxy.name}`, { proxy, leaf });
    arm(FLUSH_MS);
  }

  function arm(delayMs: number): void {
    if (timer !== undefined || writing !== undefined || closed) return;
    timer = clock.after(delayMs, () => {
      timer = undefined;
      void flush();
    });
  }

  function flush(): Promise<void> {
    writing ??= write().finally(() => {
      writing = undefined;
      if (pending.size > 0) arm(RETRY_MS);
    });
    return writing;
  }

  async function write(): Promise<void> {
    while (pending.size > 0) {
      const batch = [...pending].slice(0, BATCH);
      for (const [key] of batch) pending.delete(key);
      try {
        const saved = batch.flatMap(([, { proxy, leaf }]) => (leaf === undefined ? [] : [sealer.seal(proxy, leaf)]));
        const removed = batch.flatMap(([, { proxy, leaf }]) => (leaf === undefined ? [proxy] : []));
        if (saved.length > 0) await records.save(saved);
        if (removed.length > 0) await records.remove(removed);
      } catch (error) {
        log.warn('storing sealed leaves failed, trying again', { count: batch.length, error });
        for (const [key, value] of batch) if (!pending.has(key)) pending.set(key, value);
        return;
      }
    }
  }

  return {
    save: (proxy, leaf) => touch(proxy, leaf),
    remove: (proxy) => touch(proxy, undefined),
    async close() {
      closed = true;
      timer?.cancel();
      await writing;
      await flush();
    },
  };
}
