import type { Clock, Timer } from '../lib/clock.ts';

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
  /** Binary heap by time; an entry whose time is not the one in `times` is out of date. */
  const heap: { key: string; at: number }[] = [];
  let timer: Timer | undefined;
  let timerAt = Number.POSITIVE_INFINITY;

  function arm(): void {
    while (heap.length > 0 && times.get(heap[0]!.key) !== heap[0]!.at) pop();
    const next = heap[0]?.at;
    if (next === undefined || next >= timerAt) return;
    timer?.cancel();
    timerAt = next;
    timer = clock.after(Math.min(Math.max(next - clock.now(), 0), LONGEST_SLEEP_MS), wake);
  }

  function wake(): void {
    timer = undefined;
    timerAt = Number.POSITIVE_INFINITY;
    const due: string[] = [];
    const now = clock.now();
    while (heap.length > 0 && heap[0]!.at <= now) {
      const { key, at } = pop();
      if (times.get(key) !== at) continue;
      times.delete(key);
      due.push(key);
    }
    if (due.length > 0) run(due);
    arm();
  }

  function pop(): { key: string; at: number } {
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      let index = 0;
      for (;;) {
        const left = 2 * index + 1;
        const right = left + 1;
        let least = index;
        if (left < heap.length && heap[left]!.at < heap[least]!.at) least = left;
        if (right < heap.length && heap[right]!.at < heap[least]!.at) least = right;
        if (least === index) break;
        [heap[index], heap[least]] = [heap[least]!, heap[index]!];
        index = least;
      }
    }
    return top;
  }

  return {
    set(key, at) {
      if (times.get(key) === at) return;
      times.set(key, at);
      heap.push({ key, at });
      for (let index = heap.length - 1; index > 0; ) {
        const parent = (index - 1) >> 1;
        if (heap[parent]!.at <= heap[index]!.at) break;
        [heap[index], heap[parent]] = [heap[parent]!, heap[index]!];
        index = parent;
      }
      arm();
    },
    clear(key) {
      times.delete(key);
    },
    close() {
      timer?.cancel();
      times.clear();
      heap.length = 0;
    },
  };
}
