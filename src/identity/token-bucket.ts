/** A token bucket as a value: what was left at a time. Milliseconds of a clock that does not step. */
export interface TokenBucket {
  readonly tokens: number;
  readonly at: number;
}

/** More than this share of a second's tokens is never saved up, so that an issuer that counts strictly sees no burst after our event loop was busy; but always one. */
const BURST_SECONDS = 0.04;

/** What is this near to a whole token is one: sums of fractions are not exact. */
const EPSILON = 1e-6;

/** The bucket at `now`, filled at `perSecond`. Pure. */
export function refill(bucket: TokenBucket, perSecond: number, now: number): TokenBucket {
  const gained = (Math.max(0, now - bucket.at) / 1000) * perSecond;
  return { tokens: Math.min(Math.max(1, perSecond * BURST_SECONDS), bucket.tokens + gained), at: now };
}

/** How long until there is a token, in ms; 0: there is one. Pure. */
export function waitFor({ tokens }: TokenBucket, perSecond: number): number {
  return tokens >= 1 - EPSILON ? 0 : ((1 - tokens) / perSecond) * 1000;
}
