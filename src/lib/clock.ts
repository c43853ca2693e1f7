/** Time as an argument, so that schedules can be driven in tests. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds of a clock that never steps; only differences mean something. */
  monotonic(): number;
  /** Calls `run` once after `delayMs` (0 or more). The timer never keeps the process alive by itself. */
  after(delayMs: number, run: () => void): Timer;
}

export interface Timer {
  /** Stops it; harmless after it ran. */
  cancel(): void;
}

/** Longest delay of a Node timer; longer ones are cut to it and must be re-armed by the owner. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(Math.max(delayMs, 0), MAX_TIMER_MS));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};
