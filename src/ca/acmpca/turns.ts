import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Timer } from '../../lib/clock.ts';

/**
 * Turns for calls with a quota, first come first served and evenly spread. When AWS throttles all the same, since others use the quota too, nobody calls for
 * a while.
 */
export interface Turns {
  /** Resolves when it is this call's turn, or when `signal` aborts. */
  take(signal: AbortSignal): Promise<void>;
  throttled(): void;
  answered(): void;
}

/** Turns that nobody took for so long may be taken at once. */
const BURST_MS = 200;
const PAUSE = { baseMs: 400, maxMs: 5000, jitter: 0.5 };

/** `perSecond` is asked before each turn; `random` in [0, 1). */
export function createTurns(options: { perSecond: () => number; clock: Clock; random: () => number }): Turns {
  const { perSecond, clock, random } = options;
  const waiting = new Set<() => void>();
  /** Of `clock.monotonic`: the next free turn. */
  let next = Number.NEGATIVE_INFINITY;
  let pausedUntil = Number.NEGATIVE_INFINITY;
  let pauses = 0;
  let timer: Timer | undefined;

  function give(): void {
    timer = undefined;
    for (const go of waiting) {
      const now = clock.monotonic();
      const at = Math.max(next, pausedUntil);
      if (at > now) {
        timer = clock.after(at - now, give);
        return;
      }
      next = Math.max(next, now - BURST_MS) + 1000 / perSecond();
      waiting.delete(go);
      go();
    }
  }

  return {
    take(signal) {
      if (signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const leave = () => {
          waiting.delete(go);
          resolve();
        };
        const go = () => {
          signal.removeEventListener('abort', leave);
          resolve();
        };
        signal.addEventListener('abort', leave, { once: true });
        waiting.add(go);
        if (timer === undefined) give();
      });
    },
    throttled() {
      const now = clock.monotonic();
      // Calls that were under way then are refused too: it is one refusal.
      if (now < pausedUntil) return;
      pauses += 1;
      pausedUntil = now + backoffMs(pauses, { ...PAUSE, random: random() });
    },
    answered() {
      pauses = 0;
    },
  };
}
