import type { CaLimits } from '../ca/backend.ts';
import { backoffMs } from '../lib/backoff.ts';
import { createRateMeter } from './rate-meter.ts';
import { refill, type TokenBucket, waitFor } from './token-bucket.ts';

/**
 * How fast one backend is asked: its limits, approached in steps after a start (`ramp`), and lowered while it says that it is asked too much.
 *
 * ```
 * perSecond: min(limit x share of the ramp, what throttling left and gives back slowly)
 * in flight: limit x share of the ramp; one at a time while it throttles every answer
 * ```
 */
export interface Pace {
  /** What the backend may be asked from now on. */
  limit(limits: PaceLimits): void;
  /** How many may be in flight now; at least 1. */
  concurrency(): number;
  /** Starts one more when the answer is 0; else how long to wait first, in ms. */
  take(): number;
  /** An answer that was a leaf. */
  answered(): void;
  /** Any other answer but a throttled one: the ramp takes no step for a while. */
  troubled(): void;
  /** The call that began at `startedAt` (monotonic) was throttled. How many times that was so in a row, those that were under way together counted once. */
  throttled(startedAt: number): number;
  /** The backend was away: begin slowly again. */
  restart(): void;
  /** Most that is asked in a second now; `undefined`: no limit. */
  perSecond(): number | undefined;
  /** Leaves a second that it gave lately. */
  measured(): number;
  /** What throttling left of the rate, to be remembered over a restart; `undefined`: all. */
  slowedTo(): number | undefined;
  restore(slowedTo: number): void;
}

export interface PaceLimits extends CaLimits {
  /** Approach the limits in steps; false for backends that sign in this process: nobody to be careful with. */
  readonly ramp: boolean;
}

const RAMP_START = 1 / 4;
const RAMP_STEP_MS = 1000;
/** What is left of the rate after the backend throttled, and how much of the throttled rate comes back each second. */
const SLOWER = 0.88;
const RECOVERY = 0.03;
/** After so many seconds without another throttled answer it grows by so much each second: what was true then is no more. */
const CAREFUL_S = 15;
const GROWTH = 1.3;
/** A backend without a known limit that throttled is asked without one again from this many times the throttled rate on. */
const UNLIMITED_AGAIN = 100;
const SLOWEST_PER_SECOND = 0.05;
/** Pause after the second answer in a row that was throttled, growing with each. */
const PAUSE = { baseMs: 200, maxMs: 60_000, jitter: 0.3 };

/** `random` in [0, 1). Without limits one at a time until they are told. */
export function createPace(options: { monotonic: () => number; random: () => number }): Pace {
  const { monotonic } = options;
  const meter = createRateMeter();
  let limits: PaceLimits = { concurrency: 1, ramp: true };
  let share = RAMP_START;
  /** When the ramp took its last step; `undefined`: nothing was asked yet. */
  let steppedAt: number | undefined;
  /** `perSecond` was throttled at `at`. */
  let slowed: { readonly perSecond: number; readonly at: number } | undefined;
  let throttledAt = Number.NEGATIVE_INFINITY;
  let inRow = 0;
  let pausedUntil = Number.NEGATIVE_INFINITY;
  let bucket: TokenBucket = { tokens: 1, at: monotonic() };

  function slowedTo(): number | undefined {
    if (slowed === undefined) return undefined;
    const regained = recovered((monotonic() - slowed.at) / 1000);
    const now = Math.max(SLOWEST_PER_SECOND, slowed.perSecond * regained);
    const isWhole = limits.perSecond === undefined ? regained >= UNLIMITED_AGAIN : now >= limits.perSecond;
    if (isWhole) slowed = undefined;
    return isWhole ? undefined : now;
  }

  function perSecond(): number | undefined {
    const allowed = Math.min(
      (limits.perSecond ?? Number.POSITIVE_INFINITY) * share,
      slowedTo() ?? Number.POSITIVE_INFINITY,
    );
    return allowed === Number.POSITIVE_INFINITY ? undefined : allowed;
  }

  return {
    limit(next) {
      limits = next;
      if (!next.ramp) share = 1;
    },
    concurrency: () => (inRow > 1 ? 1 : Math.max(1, Math.ceil(limits.concurrency * share))),
    take() {
      const now = monotonic();
      if (now < pausedUntil) return pausedUntil - now;
      const rate = perSecond();
      if (rate !== undefined) {
        bucket = refill(bucket, rate, now);
        const wait = waitFor(bucket, rate);
        if (wait > 0) return wait;
        bucket = { ...bucket, tokens: bucket.tokens - 1 };
      }
      steppedAt ??= now;
      return 0;
    },
    answered() {
      const now = monotonic();
      meter.count(now);
      inRow = 0;
      if (share === 1 || steppedAt === undefined || now - steppedAt < RAMP_STEP_MS) return;
      share = Math.min(1, share * 2);
      steppedAt = now;
    },
    troubled() {
      if (steppedAt !== undefined) steppedAt = monotonic();
    },
    throttled(startedAt) {
      if (startedAt <= throttledAt) return inRow;
      const now = monotonic();
      throttledAt = now;
      inRow += 1;
      slowed = { perSecond: perSecond() ?? Math.max(1, meter.perSecond(now)), at: now };
      bucket = { tokens: 0, at: now };
      pausedUntil = now + backoffMs(inRow - 1, { ...PAUSE, random: options.random() });
      return inRow;
    },
    restart() {
      if (!limits.ramp) return;
      share = RAMP_START;
      steppedAt = undefined;
    },
    perSecond,
    measured: () => meter.perSecond(monotonic()),
    slowedTo,
    restore(to) {
      slowed = { perSecond: to / SLOWER, at: monotonic() };
    },
  };
}

/** Share of the throttled rate that is asked so many seconds later. Pure. */
function recovered(seconds: number): number {
  const careful = SLOWER + RECOVERY * Math.min(seconds, CAREFUL_S);
  return careful * GROWTH ** Math.max(0, seconds - CAREFUL_S);
}
