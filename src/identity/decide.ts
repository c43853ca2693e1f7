import type { DesiredIdentity, HeldLeaf } from './identity.ts';
import { renewalWindowMs } from './renewals.ts';

/** Why a leaf has to be issued; the word goes to logs. */
export type IssueReason =
  | 'none-held'
  | 'backend-changed'
  | 'identity-changed'
  | 'lifetime-shortened'
  | 'untrusted'
  | 'distrusted'
  | 'ca-changed'
  | 'requested'
  | 'key-moved'
  | 'key-lost'
  | 'due';

export type Decision =
  /** `until`: epoch ms when to look again. */
  { readonly action: 'keep'; readonly until: number } | { readonly action: 'issue'; readonly reason: IssueReason };

/** What is known of a held leaf beside itself. */
export interface LeafSituation {
  /** Epoch ms. */
  readonly now: number;
  /** It chains to what the mesh trusts; `undefined` while that is not known, or when its backend is no part of the mesh any more. */
  readonly trusted: boolean | undefined;
  /** Somebody said that it must not be trusted any more. */
  readonly distrusted?: boolean;
  /** Its CA is not the one that issues now, and it is this leaf's turn to be replaced at that time, epoch ms. */
  readonly replaceAt?: number | undefined;
  /** Somebody asked for another one, from that time on, epoch ms. */
  readonly requestedAt?: number | undefined;
  /** The launcher of its proxy has no such key. */
  readonly keyLost?: boolean | undefined;
  /** When the CA ends that would sign the next one, epoch ms; absent: not known, or it says so with each answer only. */
  readonly caEndsAt?: number | undefined;
}

/**
 * Whether the held leaf is still the one the proxy must have. Only what concerns the leaf counts: an edit of the Mesh that changes neither the backend,
 * the SANs nor shortens the life leaves it alone. Pure.
 */
export function decide(leaf: HeldLeaf | undefined, desired: DesiredIdentity, situation: LeafSituation): Decision {
  const { now, trusted, replaceAt = Number.POSITIVE_INFINITY, requestedAt = Number.POSITIVE_INFINITY } = situation;
  const issue = (reason: IssueReason): Decision => ({ action: 'issue', reason });
  if (leaf === undefined) return issue('none-held');
  if (situation.distrusted === true) return issue('distrusted');
  if ((leaf.keyId !== undefined) !== (desired.keys === 'proxy')) return issue('key-moved');
  const lostTurn = situation.keyLost === true ? keyLostTurn(leaf) : Number.POSITIVE_INFINITY;
  if (now >= lostTurn) return issue('key-lost');
  const moves = leaf.backend !== desired.backend;
  // What the mesh does not trust any more protects nobody; what it trusts has time for its turn.
  if (moves && (trusted !== true || now >= replaceAt)) return issue('backend-changed');
  if (!sameList(leaf.uriSans, desired.uriSans)) return issue('identity-changed');
  if (trusted === false) return issue('untrusted');
  if (!moves && usedUntil(leaf) - now > desired.lifetimeMs) return issue('lifetime-shortened');
  if (now >= replaceAt) return issue('ca-changed');
  if (now >= requestedAt) return issue('requested');
  // Who has a turn keeps it: many may be due when a CA is replaced late.
  const dueAt = situation.replaceAt ?? dueTime(leaf, situation.caEndsAt);
  if (now >= dueAt) return issue('due');
  return { action: 'keep', until: Math.min(dueAt, requestedAt, lostTurn) };
}

/** Until when it was meant to be used: an issuer that gives more than it was asked for is asked no more often for that. */
function usedUntil({ notAfter, issuedAt, askedMs }: HeldLeaf): number {
  return askedMs === undefined ? notAfter : Math.min(notAfter, issuedAt + askedMs);
}

/** A leaf ends so close to its CA at the most. Milliseconds. */
const CA_END_SLACK_MS = 1000;

/** A leaf that lives as long as its CA is not renewed: the next one would end at the same time. The CA has to be another one first. */
function dueTime({ renewAt, notAfter }: HeldLeaf, caEndsAt: number | undefined): number {
  return caEndsAt !== undefined && notAfter >= caEndsAt - CA_END_SLACK_MS ? notAfter : renewAt;
}

/** A launcher may lose so many keys in a row before it has to wait: a certificate costs somebody something. */
const KEYS_LOST_FREELY = 3;
const KEY_LOST_PAUSE = { baseMs: 60_000, maxMs: 3_600_000 };

/** When a launcher that lost the key of `leaf` gets another one, epoch ms: one that loses each key waits longer and longer. */
function keyLostTurn({ issuedAt, reason, former = [] }: HeldLeaf): number {
  const reasons = [reason, ...former.map((one) => one.reason)];
  const kept = reasons.findIndex((one) => one !== 'key-lost');
  const lost = kept === -1 ? reasons.length : kept;
  if (lost < KEYS_LOST_FREELY) return issuedAt;
  return issuedAt + Math.min(KEY_LOST_PAUSE.baseMs * 2 ** (lost - KEYS_LOST_FREELY), KEY_LOST_PAUSE.maxMs);
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

/** So many leaves a second are replaced at the most when a CA is replaced: issuers that are billed or limited take that. */
const REPLACED_PER_SECOND = 1;

/**
 * When a leaf gets its turn after its CA was replaced: drawn once, spread so that a whole mesh of `proxies` does not ask at once, and a small one is not kept
 * waiting. `random` in [0, 1). Epoch ms.
 */
export function replacementTime(leaf: HeldLeaf, now: number, random: number, proxies: number): number {
  const window = Math.min(renewalWindowMs(leaf.notAfter - leaf.issuedAt), (proxies * 1000) / REPLACED_PER_SECOND);
  // A leaf that should have been renewed before has less time.
  const latest = leaf.renewAt > now ? leaf.renewAt : now + Math.max(0, leaf.notAfter - now) / 2;
  return Math.round(Math.min(now + window, latest) * random + now * (1 - random));
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((value, index) => value === b[index]));
}
