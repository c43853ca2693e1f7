import type { DesiredIdentity, HeldLeaf } from './identity.ts';
import { renewalWindowMs } from './renewals.ts';

/** Why a leaf has to be issued; the word goes to logs. */
export type IssueReason =
  | 'none-held'
  | 'backend-changed'
  | 'identity-changed'
  | 'lifetime-shortened'
  | 'untrusted'
  | 'ca-changed'
  | 'requested'
  | 'due';

export type Decision = { readonly action: 'keep' } | { readonly action: 'issue'; readonly reason: IssueReason };

/**
 * Whether the held leaf is still the one the proxy must have. Only what concerns the leaf counts: an edit of the Mesh that changes neither the backend,
 * the SANs nor shortens the life leaves it alone. `trusted`: it chains to what the mesh trusts; `undefined` while that is not known.
 * `replaceAt`: its CA is an older one of the backend, and it is this leaf's turn to be replaced at that time, epoch ms. `requestedAt`: somebody asked for
 * another one, from that time on. Pure.
 */
export function decide(
  leaf: HeldLeaf | undefined,
  desired: DesiredIdentity,
  now: number,
  trusted: boolean | undefined,
  replaceAt?: number,
  requestedAt?: number,
): Decision {
  if (leaf === undefined) return { action: 'issue', reason: 'none-held' };
  if (leaf.backend !== desired.backend) return { action: 'issue', reason: 'backend-changed' };
  if (!sameList(leaf.uriSans, desired.uriSans)) return { action: 'issue', reason: 'identity-changed' };
  if (trusted === false) return { action: 'issue', reason: 'untrusted' };
  if (leaf.notAfter - now > desired.lifetimeMs) return { action: 'issue', reason: 'lifetime-shortened' };
  if (replaceAt !== undefined && now >= replaceAt) return { action: 'issue', reason: 'ca-changed' };
  if (requestedAt !== undefined && now >= requestedAt) return { action: 'issue', reason: 'requested' };
  if (now >= leaf.renewAt) return { action: 'issue', reason: 'due' };
  return { action: 'keep' };
}

/** Shares of its life after which a leaf is renewed; the contract's 4/5 is the ceiling (ca-backends, rule 3). */
const EARLIEST = 0.7;
const LATEST = 0.8;

/**
 * When a leaf issued at `issuedAt` is renewed: drawn once, uniform in 70-80 % of its life. Counted from issuance, not from NotBefore, which some CAs set far back.
 * A leaf never outlives its CA, so this is before the CA's end too. `random` in [0, 1). Epoch ms.
 */
export function renewalTime(issuedAt: number, notAfter: number, random: number): number {
  return Math.round(issuedAt + (EARLIEST + (LATEST - EARLIEST) * random) * (notAfter - issuedAt));
}

/** When a leaf gets its turn after its CA was replaced: drawn once, spread so that a whole mesh does not ask at once. `random` in [0, 1). Epoch ms. */
export function replacementTime(leaf: HeldLeaf, now: number, random: number): number {
  return Math.round(Math.min(leaf.renewAt, now + renewalWindowMs(leaf.notAfter - leaf.issuedAt) * random));
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((value, index) => value === b[index]));
}
