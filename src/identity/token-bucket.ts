/** A token bucket as a value: what was left at a time. Milliseconds of a clock that does not step. */
export interface TokenBucket {
  readonly tokens: number;
  readonly at: number;
}

/**
 * What is saved up: little, so that an issuer that counts strictly sees no burst after our event loop was busy. Two tokens would let two requests go at once;
 * with a little more than one a timer that is late by some milliseconds loses nothing. At high rates a share of a second's tokens, since timers have whole milliseconds.
 */
const SAVED = 1.3;
const SAVED_SECONDS = 0.04;
/** What is this near to a whole token is one: sums of fractions are not exact. */
const EPSILON = 1e-6;

/** The bucket at `now`, filled at `perSecond`. Pure. */
export function refill(bucket: TokenBucket, perSecond: number, now: number): TokenBucket {
  const gained = (Math.max(0, now - bucket.at) / 1000) * perSecond;
  return { tokens: Math.min(Math.max(SAVED, perSecond * SAVED_SECONDS), bucket.tokens + gained), at: now };
}

/** How long until there is a token, in ms; 0: there is one. Pure. */
export function waitFor({ tokens }: TokenBucket, perSecond: number): number {
  return tokens >= 1 - EPSILON ? 0 : ((1 - tokens) / perSecond) * 1000;
}
