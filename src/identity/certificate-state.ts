import type { HeldLeaf } from './identity.ts';

/**
 * How one proxy's certificate is (users.md 5). Lists and insights know two more, which nobody who holds the leaf can be in: `external`, an identity
 * of somebody else, and `unknown`, nothing is known.
 */
export type CertificateState =
  /** It shall have one and has none. */
  | 'none'
  | 'valid'
  /** Its renewal point is past: the next one is on its way. */
  | 'due'
  /** It should have been renewed by now: something is in the way. */
  | 'overdue'
  | 'expired';

export const CERTIFICATE_STATES: readonly CertificateState[] = ['none', 'valid', 'due', 'overdue', 'expired'];

/** This share of a leaf's life after its renewal point, a renewal that has not come is overdue: with 10 to 20 % of the life left. */
const SLACK = 0.1;

/** Relative to the leaf's own life, so that a life of an hour and one of a year are judged alike (kuma#16409). `now` is epoch ms. Pure. */
export function certificateState(
  leaf: Pick<HeldLeaf, 'issuedAt' | 'renewAt' | 'notAfter'> | undefined,
  now: number,
): CertificateState {
  if (leaf === undefined) return 'none';
  if (now >= leaf.notAfter) return 'expired';
  if (now < leaf.renewAt) return 'valid';
  return now < leaf.renewAt + SLACK * (leaf.notAfter - leaf.issuedAt) ? 'due' : 'overdue';
}
