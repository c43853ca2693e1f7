/** From when to when a leaf is valid, both as AWS takes them: whole seconds since 1970 (`ABSOLUTE`). */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** For proxies whose clock is behind. Without it AWS puts the beginning an hour back. */
const BACKDATE_MS = 60_000;
/** A leaf ends so long before its CA. */
const CA_MARGIN_MS = 10_000;
/** The longest life that a CA in short-lived mode gives. Source: AWS Private CA, "CA modes". */
export const SHORT_LIVED_MS = 7 * 86_400_000;

/**
 * `lifetimeMs` from `now`, no longer than the CA lives (`caNotAfter`, epoch ms) and allows. Counted once for a request and kept for every further try of it:
 * AWS gives the same certificate for the same question only.
 */
export function validityFor(options: {
  now: number;
  lifetimeMs: number;
  caNotAfter: number;
  shortLived: boolean;
}): Validity {
  const { now, lifetimeMs, caNotAfter, shortLived } = options;
  const begin = now - BACKDATE_MS;
  const longest = shortLived ? begin + SHORT_LIVED_MS : Number.POSITIVE_INFINITY;
  const end = Math.min(now + lifetimeMs, caNotAfter - CA_MARGIN_MS, longest);
  return { notBefore: Math.floor(begin / 1000), notAfter: Math.floor(end / 1000) };
}
