import { keyOf, keyText, type Resource } from '../../resources/resource.ts';
import type { Change } from '../../store/store.ts';

/** Reads a watch into a picture of the store, as a watcher would. */
export interface Replay {
  readonly state: ReadonlyMap<string, Resource>;
  /** Every batch so far. */
  readonly batches: readonly (readonly Change[])[];
  /** Number of `synced` so far. */
  synced(): number;
  /** Resolves when `test` holds after a batch; rejects when the watch ended or 10 s passed. */
  until(test: () => boolean): Promise<void>;
  /** Resolves when the watch has ended. */
  readonly ended: Promise<void>;
}

export function replay(watch: AsyncIterable<readonly Change[]>, pause?: () => Promise<void>): Replay {
  const state = new Map<string, Resource>();
  const batches: (readonly Change[])[] = [];
  const waiting = new Set<() => void>();
  let synced = 0;
  let over = false;
  const ended = (async () => {
    for await (const batch of watch) {
      batches.push(batch);
      for (const change of batch) {
        if (change.op === 'synced') synced += 1;
        else if (change.op === 'delete') state.delete(keyText(change.key));
        else state.set(keyText(keyOf(change.resource)), change.resource);
      }
      for (const check of waiting) check();
      await pause?.();
    }
    over = true;
    for (const check of waiting) check();
  })();
  return {
    state,
    batches,
    ended,
    synced: () => synced,
    async until(test) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const check = () => {
        if (test()) resolve();
        else if (over) reject(new Error('the watch ended'));
      };
      const timer = setTimeout(() => reject(new Error('the watch did not get there in 10 s')), 10_000);
      waiting.add(check);
      try {
        check();
        await promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(check);
      }
    },
  };
}
