/**
 * When streams run: one queue and one timer for all of them, both at rest while nothing happens.
 */
import type { Clock, Timer } from '../lib/clock.ts';

/** Something that has work to do after requests or a new target came in. */
export interface Flushable {
  flush(): void;
}

/** Something that must be looked at now and then. */
export interface Watched {
  /** `now` is monotonic milliseconds. False: nothing to watch any more. */
  tick(now: number): boolean;
}

export interface FlushQueue {
  /** Flushes it once, after the requests that are in this turn of the event loop. */
  add(item: Flushable): void;
}

/** Runs queued streams in slices of `sliceMs`, letting I/O in between, so that a push to thousands does not hold the event loop. */
export function createFlushQueue(clock: Clock, sliceMs: number): FlushQueue {
  const queue = new Set<Flushable>();
  let scheduled = false;

  function run(): void {
    scheduled = false;
    const end = clock.monotonic() + sliceMs;
    for (const item of queue) {
      queue.delete(item);
      item.flush();
      if (clock.monotonic() >= end) break;
    }
    if (queue.size > 0) schedule();
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(run);
  }

  return {
    add(item) {
      queue.add(item);
      schedule();
    },
  };
}

export interface Watchdog {
  /** Calls `tick` about once in `periodMs` until it says false. Adding twice is harmless. */
  add(item: Watched): void;
  close(): void;
}

export function createWatchdog(clock: Clock, periodMs: number): Watchdog {
  const watched = new Set<Watched>();
  let timer: Timer | undefined;
  let closed = false;

  function arm(): void {
    if (timer || closed || watched.size === 0) return;
    timer = clock.after(periodMs, () => {
      timer = undefined;
      const now = clock.monotonic();
      for (const item of watched) if (!item.tick(now)) watched.delete(item);
      arm();
    });
  }

  return {
    add(item) {
      watched.add(item);
      arm();
    },
    close() {
      closed = true;
      timer?.cancel();
      watched.clear();
    },
  };
}
