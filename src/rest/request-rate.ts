/** Limits how often something may be asked for, per key; what many wait for costs more than what one waits for. In this process only. */
export interface RequestRate {
  /** Takes `cost` when there is so much left and answers `undefined`; else whole seconds until there is. */
  take(key: string, cost: number, now: number): number | undefined;
}

/** Each key has `burst` at first, and one more every `refillMs`. Keys that are full again are forgotten. */
export function createRequestRate(options: { burst: number; refillMs: number }): RequestRate {
  const { burst, refillMs } = options;
  /** Epoch ms when the key is full again. */
  const fullAt = new Map<string, number>();
  return {
    take(key, cost, now) {
      for (const [other, at] of fullAt) if (at <= now) fullAt.delete(other);
      const after = Math.max(fullAt.get(key) ?? now, now) + cost * refillMs;
      const tooFull = after - (now + burst * refillMs);
      if (tooFull > 0) return Math.ceil(tooFull / 1000);
      fullAt.set(key, after);
      return undefined;
    },
  };
}
