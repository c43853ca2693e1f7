import { createHook } from 'node:async_hooks';
import type { Clock } from '../../lib/clock.ts';

/** A clock that moves only when told to; timers run in the order of their time, each with the time it was set for. */
export interface DrivenClock extends Clock {
  /** Moves on by `ms`, running what becomes due; promises get their turn after each timer. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock without moving timers, as an administrator or NTP does. */
  step(ms: number): void;
  /** The host sleeps: the wall clock goes on, timers and the monotonic clock stand still. */
  sleep(ms: number): void;
  /** As `os.uptime`, in ms: time that has really passed, sleep included. */
  uptime(): number;
  readonly timers: number;
}

/** Keys, signatures and hashes that other threads of this process are making. Resource types: Node's `src/async_wrap.h`. */
const jobs = new Map<number, { ondone?: unknown }>();
const counted = createHook({
  init(id, type, _trigger, job) {
    if (/^(KEYPAIRGEN|KEYGEN|SIGN|HASH|CIPHER|DERIVEBITS|PBKDF2)\w*REQUEST$/.test(type)) jobs.set(id, job);
  },
  after: (id) => void jobs.delete(id),
});

function makesKeysOrSignatures(): boolean {
  // A job that was done at once, for a caller who waited, calls nobody.
  for (const [id, job] of jobs) if (typeof job.ondone !== 'function') jobs.delete(id);
  return jobs.size > 0;
}

/** Time waits for cryptography, and for what `busy` says is under way besides. */
export function createDrivenClock(start = 1_700_000_000_000, busy: () => boolean = () => false): DrivenClock {
  counted.enable();
  let elapsed = 0;
  let offset = start;
  let slept = 0;
  const timers = new Set<{ at: number; run: () => void }>();
  const isBusy = () => makesKeysOrSignatures() || busy();
  const settle = async () => {
    do {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      if (isBusy()) await new Promise((resolve) => setTimeout(resolve, 1));
    } while (isBusy());
  };
  return {
    now: () => offset + elapsed,
    monotonic: () => elapsed,
    after(delayMs, run) {
      const timer = { at: elapsed + Math.max(0, delayMs), run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    async advance(ms) {
      const end = elapsed + ms;
      await settle();
      for (;;) {
        const next = [...timers].sort((a, b) => a.at - b.at)[0];
        if (next === undefined || next.at > end) break;
        timers.delete(next);
        elapsed = next.at;
        next.run();
        await settle();
      }
      elapsed = end;
    },
    step(ms) {
      offset += ms;
    },
    sleep(ms) {
      offset += ms;
      slept += ms;
    },
    uptime: () => elapsed + slept,
    get timers() {
      return timers.size;
    },
  };
}
