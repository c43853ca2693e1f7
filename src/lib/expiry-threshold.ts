import { parseGoDuration, parseKumaDuration } from './duration.ts';

/** How near to its end a certificate may come: a share of its life, a time, or the smaller of both. */
export interface Threshold {
  /** 0 to 1. */
  readonly share?: number;
  readonly ms?: number;
}

/** `20%`, `48h`, `30d`; `undefined` when malformed. */
export function parseThreshold(text: string): Threshold | undefined {
  const percent = /^(\d{1,2}(?:\.\d+)?)%$/.exec(text)?.[1];
  if (percent !== undefined) return { share: Number(percent) / 100 };
  const ms = parseKumaDuration(text) ?? parseGoDuration(text);
  return ms === undefined || ms < 0 ? undefined : { ms };
}

/** Epoch ms. */
export interface Life {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Ms before its end from which on this certificate counts as near it. */
export function marginOf(life: Life, { share, ms }: Threshold): number {
  const shared = share === undefined ? Number.POSITIVE_INFINITY : (life.notAfter - life.notBefore) * share;
  return Math.min(shared, ms ?? Number.POSITIVE_INFINITY);
}

/** `expired`, `near` its end by the threshold, `early` (its time has not come yet) or `good`. */
export function ageOf(life: Life, threshold: Threshold, now: number): 'expired' | 'near' | 'early' | 'good' {
  if (now >= life.notAfter) return 'expired';
  if (now < life.notBefore) return 'early';
  return life.notAfter - now <= marginOf(life, threshold) ? 'near' : 'good';
}

/** A time that people read: `40 s`, `12 min`, `5 h`, `40 days`. */
export function spanText(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
