import type { Clock } from './clock.ts';

/** Looked at this often at the most: asking for the time has to stay cheap. Milliseconds. */
const CHECK_MS = 1000;
/** What NTP puts right without a word. Milliseconds. */
const SMALL_MS = 30_000;
/** A clock that was put forward is believed when it has stood so for this long. Milliseconds. */
const BELIEVED_AFTER_MS = 300_000;

/** What the machine's clock did. `byMs`: how far it is from the time that is gone by, forward or (negative) back. */
export interface ClockStep {
  readonly byMs: number;
  readonly believed: boolean;
}

export interface SteadyClock extends Clock {
  /** The earliest time that it can be: as this clock says, as the machine says, or as it was before a step forward. Epoch ms. */
  earliest(): number;
}

/**
 * A wall clock for what must not jump: certificates that are renewed in time must not all be due, or none for a year, because somebody set the machine's
 * clock. Time goes on as the monotonic clock does, from what the wall clock said at first; steps of the wall clock are taken like this:
 *
 * - up to half a minute, and a host that slept: followed at once;
 * - forward: followed when it has stood for five minutes, and left again at once when the clock returns;
 * - back: not followed. Nothing that is valid now begins to be so by going back; a restart takes the clock as it is.
 *
 * `uptimeMs` counts the time a host was asleep, which `monotonic` does not. `stepped` is told once of each step.
 */
export function createSteadyClock(
  clock: Clock,
  options: { uptimeMs: () => number; stepped: (step: ClockStep) => void },
): SteadyClock {
  /** Wall minus monotonic: as it is gone by, as it was before it was put forward, and as it may become. */
  let offset = clock.now() - clock.monotonic();
  let former: number | undefined;
  let candidate: { readonly offset: number; readonly since: number } | undefined;
  let toldOf: number | undefined;
  let asleep = options.uptimeMs() - clock.monotonic();
  let checkedAt = clock.monotonic();

  const near = (a: number, b: number | undefined) => b !== undefined && Math.abs(a - b) <= SMALL_MS;

  function tell(to: number, believed: boolean): void {
    if (!believed && near(to, toldOf)) return;
    toldOf = believed ? undefined : to;
    options.stepped({ byMs: Math.round(to - offset), believed });
  }

  function check(now: number): void {
    const seen = clock.now() - now;
    if (near(seen, offset)) {
      offset = seen;
      candidate = undefined;
      toldOf = undefined;
      return;
    }
    const slept = options.uptimeMs() - now - asleep;
    if (near(seen, offset + slept)) {
      asleep += slept;
      offset = seen;
    } else if (near(seen, former)) {
      tell(seen, true);
      offset = seen;
      former = undefined;
    } else if (seen < offset) {
      tell(seen, false);
    } else if (candidate === undefined || !near(seen, candidate.offset)) {
      tell(seen, false);
      candidate = { offset: seen, since: now };
    } else if (now - candidate.since >= BELIEVED_AFTER_MS) {
      tell(seen, true);
      former = offset;
      offset = seen;
      candidate = undefined;
    }
  }

  return {
    now() {
      const now = clock.monotonic();
      if (now - checkedAt >= CHECK_MS) {
        checkedAt = now;
        check(now);
      }
      return Math.round(now + offset);
    },
    earliest() {
      const now = clock.monotonic();
      return Math.round(Math.min(now + offset, clock.now(), now + (former ?? offset)));
    },
    monotonic: clock.monotonic,
    after: clock.after,
  };
}
