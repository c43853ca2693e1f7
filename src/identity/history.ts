import type { HeldLeaf } from './identity.ts';

/** A leaf that a proxy got, without what it is made of. */
export interface IssuedLeaf {
  /** Lower-case hex. */
  readonly serial: string;
  readonly backend: string;
  /** RFC 4514. */
  readonly issuer: string;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuedAt: number;
  readonly generation: number;
  /** Why it was issued, an `IssueReason`; '' in records of former versions. */
  readonly reason: string;
}

/** So many leaves of a proxy are remembered, the one it holds included. They are part of the held leaf, so they cost no write of their own. */
const HISTORY_LENGTH = 10;

/** The leaves before the one that comes after `leaf`, newest first. */
export function formerLeaves(leaf: HeldLeaf | undefined): readonly IssuedLeaf[] {
  return leafHistory(leaf).slice(0, HISTORY_LENGTH - 1);
}

/** What the proxy got, newest first: the held leaf, then those before it. Empty without one. */
export function leafHistory(leaf: HeldLeaf | undefined): readonly IssuedLeaf[] {
  if (leaf === undefined) return [];
  const { serial, backend, issuer, notBefore, notAfter, issuedAt, generation, reason = '' } = leaf;
  return [{ serial, backend, issuer, notBefore, notAfter, issuedAt, generation, reason }, ...(leaf.former ?? [])];
}
