import { CaError, type CaErrorCode } from '../ca/backend.ts';
import { backoffMs } from '../lib/backoff.ts';

/** Per proxy. Source: Kuma 2.14 `CERT_GENERATION_BASE_BACKOFF`, `_MAX_BACKOFF`. */
const USUAL = { baseMs: 5000, maxMs: 300_000, jitter: 0.3 };
/** After a no that asking again does not change (ca-backends, rule 7), for the one that asks again for all (`refusals.ts`). */
export const REFUSED = { baseMs: 10_000, maxMs: 180_000, jitter: 0.2 };
const REFUSED_CODES: ReadonlySet<CaErrorCode> = new Set(['denied', 'invalid-request']);

/** The CA said no to what was asked, and would again. */
export function isRefusal(error: unknown): boolean {
  return error instanceof CaError && REFUSED_CODES.has(error.code);
}

/** Pause after the `attempts`-th failure in a row, in ms: 5 s to 5 min, growing. A change of the Mesh, or of what the backend stands on, ends every pause. `random` in [0, 1). */
export function pauseAfter(attempts: number, random: number): number {
  return Math.round(backoffMs(attempts, { ...USUAL, random }));
}

/** For reasons that go away by themselves or cost the CA nothing to find out. */
const SOON = { baseMs: 1000, maxMs: 60_000, jitter: 0.2 };
const SOON_CODES: ReadonlySet<CaErrorCode> = new Set(['unavailable', 'not-configured', 'forbidden']);

/** Pause before a backend is asked again what to trust: as `pauseAfter`, but 1 s to 60 s while it is not reached or not set up, 10 s to 3 min after a no. */
export function pauseBeforeAsking(error: unknown, attempts: number, random: number): number {
  const soon = !(error instanceof CaError) || SOON_CODES.has(error.code);
  if (soon) return Math.round(backoffMs(attempts, { ...SOON, random }));
  return isRefusal(error) ? Math.round(backoffMs(attempts, { ...REFUSED, random })) : pauseAfter(attempts, random);
}
