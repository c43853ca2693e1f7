import type { Threshold } from '../../lib/expiry-threshold.ts';

/** A leaf is renewed with 20 to 30 % of its life left, so at 15 % something is wrong. */
export const LEAF_THRESHOLD: Threshold = { share: 0.15 };
/** A CA is changed by people: a month is time to do it, and a CA of a test that lives for hours is not near its end all the time. */
export const CA_THRESHOLD: Threshold = { share: 0.1, ms: 30 * 86_400_000 };
