import { createHeap } from '../lib/heap.ts';

/** Work for one CA backend, the most urgent first, in slices that leave the event loop free. */
export interface IssuanceQueue {
  /** Asks for `key`; a later call with an earlier `urgency` (epoch ms of expiry, 0: has none) moves it forward. Harmless when it is under way. */
  add(key: string, urgency: number): void;
  /** Forgets `key` when it is not under way. */
  drop(key: string): void;
  /** Looks again whether something may run, after `mayStart` changed its mind. */
  wake(): void;
  readonly waiting: number;
  readonly running: number;
  close(): void;
}

/** One slice of synchronous work. Milliseconds. */
const SLICE_MS = 10;

/** `mayStart`: another one may run beside so many, and does when the answer is true; `run` never rejects; `done` is told when a key may be added again. */
export function createIssuanceQueue(options: {
  mayStart: (running: number) => boolean;
  /** `waitedMs`: how long the key stood in the queue. */
  run: (key: string, waitedMs: number) => Promise<void>;
  done: (key: string) => void;
  /** Milliseconds. */
  monotonic: () => number;
}): IssuanceQueue {
  const waiting = new Map<string, { urgency: number; readonly since: number }>();
  const running = new Set<string>();
  /** By urgency; an entry whose urgency is not the one in `waiting` is out of date. */
  const order = createHeap<{ readonly key: string; readonly urgency: number; readonly turn: number }>(
    (a, b) => a.urgency < b.urgency || (a.urgency === b.urgency && a.turn < b.turn),
  );
  let turns = 0;
  let pumping = false;
  let closed = false;
  let sliceEnd = 0;

  async function pump(): Promise<void> {
    if (pumping) return;
    pumping = true;
    while (!closed && waiting.size > 0) {
      if (performance.now() > sliceEnd) {
        await new Promise((resolve) => setImmediate(resolve));
        sliceEnd = performance.now() + SLICE_MS;
        continue;
      }
      if (!options.mayStart(running.size)) break;
      const key = next();
      const { since } = waiting.get(key)!;
      waiting.delete(key);
      running.add(key);
      void options.run(key, options.monotonic() - since).finally(() => {
        running.delete(key);
        options.done(key);
        void pump();
      });
    }
    pumping = false;
  }

  /** The most urgent that waits; there is one. */
  function next(): string {
    for (;;) {
      const { key, urgency } = order.take()!;
      if (waiting.get(key)?.urgency === urgency) return key;
    }
  }

  return {
    add(key, urgency) {
      if (running.has(key)) return;
      const known = waiting.get(key);
      if (known === undefined || urgency < known.urgency) {
        waiting.set(key, { urgency, since: known?.since ?? options.monotonic() });
        order.add({ key, urgency, turn: turns++ });
      }
      queueMicrotask(() => void pump());
    },
    drop: (key) => void waiting.delete(key),
    wake: () => void pump(),
    get waiting() {
      return waiting.size;
    },
    get running() {
      return running.size;
    },
    close() {
      closed = true;
      waiting.clear();
      order.clear();
    },
  };
}
