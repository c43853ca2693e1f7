import { backoffMs } from '../lib/backoff.ts';

/** How many different proxies must fail in a row before a backend is left alone. Source: Kuma 2.14 `CIRCUIT_BREAKER_MIN_PROXIES`. */
const FAILING_PROXIES = 10;
const COOLDOWN = { baseMs: 5000, maxMs: 60_000, jitter: 0.2 };

/** Keeps a dead issuer from being asked by every proxy: open after failures of many, then one probe per cooldown; one success closes it. */
export interface Breaker {
  /** `go`: ask. `probe`: ask with this one only. Else when to look again, epoch ms. */
  state(now: number): 'go' | 'probe' | number;
  failed(proxy: string, now: number): void;
  /** True when this success closed an open breaker. */
  succeeded(): boolean;
}

export function createBreaker(random: () => number): Breaker {
  const failing = new Set<string>();
  let opened = 0;
  let openUntil = 0;
  return {
    state(now) {
      if (opened === 0) return 'go';
      return now >= openUntil ? 'probe' : openUntil;
    },
    failed(proxy, now) {
      failing.add(proxy);
      if (failing.size < FAILING_PROXIES) return;
      opened += 1;
      openUntil = now + backoffMs(opened, { ...COOLDOWN, random: random() });
    },
    succeeded() {
      const wasOpen = opened > 0;
      failing.clear();
      opened = 0;
      return wasOpen;
    },
  };
}
