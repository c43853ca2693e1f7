import type { CaBackend, Crl, CrlOrder } from '../ca/backend.ts';
import type { Clock } from '../lib/clock.ts';
import type { DistrustedLeaf } from './distrust.ts';

const TIMEOUT_MS = 10_000;

/** What one backend says about revocation. */
export type CrlAnswer =
  | { readonly kind: 'signed'; readonly crls: readonly Crl[] }
  /** Why there is none, in words that follow "backend x". */
  | { readonly kind: 'none'; readonly why: string };

/** A backend as far as CRLs go. */
export interface CrlSubject {
  readonly name: string;
  /** PEM of the anchors that unexpired leaves of it stand on. */
  readonly retained: readonly string[];
  readonly answer: CrlAnswer;
}

/** Asks a backend for a CRL with those of `leaves` that are its own. Never rejects. */
export async function askForCrl(
  name: string,
  ca: CaBackend,
  leaves: readonly DistrustedLeaf[],
  clock: Clock,
): Promise<CrlAnswer> {
  if (ca.crl === undefined) {
    return { kind: 'none', why: 'does not sign CRLs for the control plane, since it has not the key of the CA' };
  }
  const order: CrlOrder = {
    number: Math.floor(clock.now() / 1000),
    revoked: leaves.filter(({ backend }) => backend === name).map(({ serial, at }) => ({ serial, at })),
  };
  try {
    return { kind: 'signed', crls: await ca.crl(order, AbortSignal.timeout(TIMEOUT_MS)) };
  } catch (error) {
    return { kind: 'none', why: `can not sign a CRL: ${error instanceof Error ? error.message : error}` };
  }
}

/**
 * Why no CRL may be used, `undefined` when one may: where there is a CRL, Envoy wants one of the issuer of every leaf it sees, and refuses the others. So it
 * is all of them or none: a distrust must not break handshakes of good leaves (OpenSSL `X509_V_FLAG_CRL_CHECK`). Pure.
 */
export function uncovered(subjects: readonly CrlSubject[]): string | undefined {
  for (const { name, retained, answer } of subjects) {
    if (answer.kind === 'none') return `backend "${name}" ${answer.why}`;
    const issuers = answer.crls.map(({ issuerPem }) => issuerPem);
    if (retained.some((pem) => !issuers.includes(pem))) {
      return `leaves of a CA that backend "${name}" has replaced are still in use, and it has not the key of that CA any more`;
    }
  }
  return undefined;
}

/** PEM of all CRLs; call it when nothing is `uncovered`. */
export function crlBundle(subjects: readonly CrlSubject[]): string {
  return subjects.flatMap(({ answer }) => (answer.kind === 'signed' ? answer.crls.map(({ pem }) => pem) : [])).join('');
}
