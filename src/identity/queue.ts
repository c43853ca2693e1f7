/** Work for one CA backend: at most `concurrency` at a time, the most urgent first, in slices that leave the event loop free. */
export interface IssuanceQueue {
  /** Asks for `key`; a later call with an earlier `urgency` (epoch ms of expiry, 0: has none) moves it forward. Harmless when it is under way. */
  add(key: string, urgency: number): void;
  /** Forgets `key` when it is not under way. */
  drop(key: string): void;
  /** Looks again whether something may run, after `mayRun` changed its mind. */
  wake(): void;
  readonly waiting: number;
  readonly running: number;
  close(): void;
}

/** One slice of synchronous work. Milliseconds. */
const SLICE_MS = 10;

/** `mayRun`: how many may run now; `run` never rejects; `done` is told when a key may be added again. */
export function createIssuanceQueue(options: {
  mayRun: () => number;
  run: (key: string) => Promise<void>;
  done: (key: string) => void;
}): IssuanceQueue {
  const waiting = new Map<string, number>();
  const running = new Set<string>();
  /** Waiting keys, least urgent first, for `pop`; keys that left since are still in it. */
  let order: string[] = [];
  let stale = false;
  let pumping = false;
  let closed = false;
  let sliceEnd = 0;

  async function pump(): Promise<void> {
    if (pumping) return;
    pumping = true;
    while (!closed && waiting.size > 0 && running.size < options.mayRun()) {
      if (performance.now() > sliceEnd) {
        await new Promise((resolve) => setImmediate(resolve));
        sliceEnd = performance.now() + SLICE_MS;
        continue;
      }
      const key = next();
      waiting.delete(key);
      running.add(key);
      void options.run(key).finally(() => {
        running.delete(key);
        options.done(key);
        void pump();
      });
    }
    pumping = false;
  }

  function next(): string {
    for (;;) {
      if (stale || order.length === 0) {
        order = [...waiting].sort(([, a], [, b]) => b - a).map(([key]) => key);
        stale = false;
      }
      const key = order.pop()!;
      if (waiting.has(key)) return key;
    }
  }

  return {
    add(key, urgency) {
      if (running.has(key)) return;
      const known = waiting.get(key);
      if (known === undefined || urgency < known) {
        waiting.set(key, urgency);
        stale = true;
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
    },
  };
}
