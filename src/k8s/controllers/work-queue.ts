import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Timer } from '../../lib/clock.ts';

/**
 * Keys waiting for work. A key is worked on once at a time; asking again while it waits changes nothing, while it is worked on has it worked on
 * once more. A key whose work failed comes again after a while, or at once when somebody asks. Nothing runs while nothing is asked.
 */
export interface WorkQueue {
  add(key: string): void;
  /** Keys waiting, worked on, or due again after a failure. */
  readonly size: number;
  /** Resolves when nothing is worked on any more; what waited is dropped. */
  close(): Promise<void>;
}

interface Entry {
  state: 'waiting' | 'running' | 'failed';
  /** Asked for while running. */
  again: boolean;
  failures: number;
  retry: Timer | undefined;
}

const RETRY = { baseMs: 100, maxMs: 60_000, jitter: 0.5 };

export function createWorkQueue(options: {
  /** Throws when it is to be tried again. */
  readonly work: (key: string) => Promise<void>;
  /** Told of each failure, with how many it was in a row. */
  readonly failed: (key: string, error: unknown, failures: number) => void;
  /** Keys worked on at the same time. */
  readonly concurrency: number;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
}): WorkQueue {
  const { clock, random, concurrency } = options;
  const entries = new Map<string, Entry>();
  const waiting = new Set<string>();
  const running = new Set<Promise<void>>();
  let closed = false;

  function wait(key: string, entry: Entry): void {
    entry.retry?.cancel();
    entry.retry = undefined;
    entry.state = 'waiting';
    waiting.add(key);
    start();
  }

  function start(): void {
    for (const key of waiting) {
      if (running.size >= concurrency || closed) return;
      waiting.delete(key);
      const work: Promise<void> = run(key, entries.get(key)!).finally(() => {
        running.delete(work);
        start();
      });
      running.add(work);
    }
  }

  async function run(key: string, entry: Entry): Promise<void> {
    entry.state = 'running';
    entry.again = false;
    try {
      await options.work(key);
      entry.failures = 0;
      if (!entry.again) entries.delete(key);
    } catch (error) {
      if (closed) return;
      entry.failures += 1;
      entry.state = 'failed';
      options.failed(key, error, entry.failures);
      const delay = backoffMs(entry.failures, { ...RETRY, random: random() });
      if (!entry.again) entry.retry = clock.after(delay, () => wait(key, entry));
    }
    if (entry.again) wait(key, entry);
  }

  return {
    add(key) {
      if (closed) return;
      const entry = entries.get(key);
      if (entry === undefined) {
        const made: Entry = { state: 'waiting', again: false, failures: 0, retry: undefined };
        entries.set(key, made);
        wait(key, made);
      } else if (entry.state === 'running') entry.again = true;
      else if (entry.state === 'failed') wait(key, entry);
    },
    get size() {
      return entries.size;
    },
    async close() {
      closed = true;
      for (const entry of entries.values()) entry.retry?.cancel();
      waiting.clear();
      await Promise.allSettled(running);
      entries.clear();
    },
  };
}
