import type { Clock, Timer } from '../lib/clock.ts';
import { createHeap } from '../lib/heap.ts';

/** Longest sleep: a clock that was set is noticed after this. Milliseconds. */
const LONGEST_SLEEP_MS = 60_000;

/** Things to do at a time, one per key, with one timer for all of them. */
export interface Schedule {
  /** Replaces the former time of `key`. Epoch ms. */
  set(key: string, at: number): void;
  clear(key: string): void;
  close(): void;
}

/** `run` gets the keys that are due, in order of their time; their entries are gone by then. Idle while nothing is due. */
export function createSchedule(clock: Clock, run: (keys: readonly string[]) => void): Schedule {
  const times = new Map<string, number>();
  /** By time; an entry whose time is not the one in `times` is out of date. */
  const heap = createHeap<{ readonly key: string; readonly at: number }>((a, b) => a.at < b.at);
  let timer: Timer | undefined;
  let timerAt = Number.POSITIVE_INFINITY;

  /** The next entry that counts. */
  function next(): { readonly key: string; readonly at: number } | undefined {
    for (let top = heap.top(); top !== undefined; top = heap.top()) {
      if (times.get(top.key) === top.at) return top;
      heap.take();
    }
    return undefined;
  }

  function arm(): void {
    const at = next()?.at;
    if (at === undefined || at >= timerAt) return;
    timer?.cancel();
    timerAt = at;
    timer = clock.after(Math.min(Math.max(at - clock.now(), 0), LONGEST_SLEEP_MS), wake);
  }

  function wake(): void {
    timer = undefined;
    timerAt = Number.POSITIVE_INFINITY;
    const due: string[] = [];
    const now = clock.now();
    for (let top = next(); top !== undefined && top.at <= now; top = next()) {
      heap.take();
      times.delete(top.key);
      due.push(top.key);
    }
    try {
      if (due.length > 0) run(due);
    } finally {
      arm();
    }
  }

  return {
    set(key, at) {
      if (times.get(key) === at) return;
      times.set(key, at);
      heap.add({ key, at });
      arm();
    },
    clear(key) {
      times.delete(key);
    },
    close() {
      timer?.cancel();
      times.clear();
      heap.clear();
    },
  };
}
