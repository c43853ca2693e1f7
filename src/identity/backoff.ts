import { CaError, type CaErrorCode } from '../ca/backend.ts';
import { backoffMs } from '../lib/backoff.ts';

/** Per proxy. Source: Kuma 2.14 `CERT_GENERATION_BASE_BACKOFF`, `_MAX_BACKOFF`. */
const USUAL = { baseMs: 5000, maxMs: 300_000, jitter: 0.3 };
/** For answers that asking again does not change. */
const FINAL = { baseMs: 3_600_000, maxMs: 3_600_000, jitter: 0.1 };

const FINAL_CODES: ReadonlySet<CaErrorCode> = new Set(['denied', 'invalid-request']);

/**
 * Pause after the `attempts`-th failure in a row, in ms: 5 s to 5 min, growing; an hour when the CA said no, since asking again makes a loop of
 * requests and refusals (ca-backends, rule 7). A change of the Mesh, or of what the backend stands on, ends every pause. `random` in [0, 1).
 */
export function pauseAfter(error: unknown, attempts: number, random: number): number {
  const final = error instanceof CaError && FINAL_CODES.has(error.code);
  return Math.round(backoffMs(attempts, { ...(final ? FINAL : USUAL), random }));
}

/** For reasons that go away by themselves or cost the CA nothing to find out. */
const SOON = { baseMs: 1000, maxMs: 60_000, jitter: 0.2 };
const SOON_CODES: ReadonlySet<CaErrorCode> = new Set(['unavailable', 'not-configured', 'forbidden']);

/** Pause before a backend is asked again what to trust: as `pauseAfter`, but 1 s to 60 s while it is not reached or not set up. */
export function pauseBeforeAsking(error: unknown, attempts: number, random: number): number {
  const soon = !(error instanceof CaError) || SOON_CODES.has(error.code);
  return soon ? Math.round(backoffMs(attempts, { ...SOON, random })) : pauseAfter(error, attempts, random);
}
