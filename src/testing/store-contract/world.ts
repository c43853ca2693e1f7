import type { Clock } from '../../lib/clock.ts';
import type { Change, ResourceStore } from '../../store/store.ts';

/** What an engine may be unable to do, because of what it stands on. */
export interface StoreCapabilities {
  /** Creation and modification times are of the clock it was given; else of a server. */
  readonly ownClock: boolean;
  /** A transaction is seen wholly or not at all; else write by write, each with a version of its own. */
  readonly transactions: boolean;
  /** A watch shows changes of different keys in the order of their versions; else only those of one key. */
  readonly commitOrder: boolean;
  /** Any text is a name or a label value, and each mesh has names of its own; else DNS names, label values as in Kubernetes, one space of names. */
  readonly freeNames: boolean;
  /** Members of a JSON object stay in the order they were written in, and may be called `__proto__`. */
  readonly exactJson: boolean;
}

/** A clock whose `now()` is set by hand; timers and `monotonic` are real. */
export interface SettableClock extends Clock {
  set(epochMs: number): void;
}

/** It stands at the beginning of 2026. */
export function createSettableClock(real: Clock): SettableClock {
  let now = Date.UTC(2026, 0, 1);
  return {
    now: () => now,
    set(epochMs) {
      now = epochMs;
    },
    monotonic: () => real.monotonic(),
    after: (delayMs, run) => real.after(delayMs, run),
  };
}

/** What the themes of the contract stand on; `store` and `clock` are others in each test. */
export interface StoreWorld {
  readonly store: ResourceStore;
  readonly clock: SettableClock;
  readonly can: StoreCapabilities;
  /** A watch that ends with the test. */
  watch(types?: readonly string[]): AsyncIterable<readonly Change[]>;
  /** What `toEqual` compares a time with: this one, or any where the clock is a server's. */
  time(iso: string): unknown;
}
