import { backoffMs } from '../lib/backoff.ts';

/** How many different proxies must fail in a row before a backend is left alone. Source: Kuma 2.14 `CIRCUIT_BREAKER_MIN_PROXIES`. */
const FAILING_PROXIES = 10;
const COOLDOWN = { baseMs: 5000, maxMs: 60_000, jitter: 0.2 };

/** How often it opened in a row, and until when (epoch ms) it is open. */
export interface OpenBreaker {
  readonly opened: number;
  readonly openUntil: number;
}

/** Keeps a dead issuer from being asked by every proxy: open after failures of many, then one probe per cooldown; one success closes it. */
export interface Breaker {
  /** `go`: ask. `probe`: ask with this one only. Else when to look again, epoch ms. */
  state(now: number): 'go' | 'probe' | number;
  failed(proxy: string, now: number): void;
  /** True when this success closed an open breaker. */
  succeeded(): boolean;
  /** `undefined` while it is closed. */
  memory(): OpenBreaker | undefined;
  restore(memory: OpenBreaker): void;
}

export function createBreaker(random: () => number): Breaker {
  const failing = new Set<string>();
  let open: OpenBreaker | undefined;
  return {
    state(now) {
      if (open === undefined) return 'go';
      return now >= open.openUntil ? 'probe' : open.openUntil;
    },
    failed(proxy, now) {
      failing.add(proxy);
      // Those that were under way when it opened tell nothing new.
      if (open !== undefined && now < open.openUntil) return;
      if (failing.size < FAILING_PROXIES && open === undefined) return;
      const opened = (open?.opened ?? 0) + 1;
      open = { opened, openUntil: now + Math.round(backoffMs(opened, { ...COOLDOWN, random: random() })) };
    },
    succeeded() {
      const wasOpen = open !== undefined;
      failing.clear();
      open = undefined;
      return wasOpen;
    },
    memory: () => open,
    restore(memory) {
      open = memory;
    },
  };
}
