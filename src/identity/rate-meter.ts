/** How often something happened lately. */
export interface RateMeter {
  count(now: number): void;
  /** A second: of the last whole second in which something happened, or of this one when it is busier already; 0: nothing for a while. `now` in ms. */
  perSecond(now: number): number;
}

const WINDOW_MS = 1000;

export function createRateMeter(): RateMeter {
  let startedAt = Number.NEGATIVE_INFINITY;
  let counted = 0;
  let former = 0;

  function roll(now: number): void {
    const elapsed = now - startedAt;
    if (elapsed < WINDOW_MS) return;
    former = elapsed < 2 * WINDOW_MS ? (counted * 1000) / elapsed : 0;
    startedAt = now;
    counted = 0;
  }

  return {
    count(now) {
      roll(now);
      counted += 1;
    },
    perSecond(now) {
      roll(now);
      return Math.max(former, counted);
    },
  };
}
