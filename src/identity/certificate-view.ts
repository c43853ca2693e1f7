import { createHash } from 'node:crypto';
import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import { parsePem } from '../x509/pem.ts';
import { type CertificateState, certificateState } from './certificate-state.ts';
import type { DesiredIdentity, HeldLeaf, IdentityState, IssuanceFailure, ProxyKey } from './identity.ts';

/**
 * `CertificateState`, and what nobody can be in who holds the leaf. `external`: somebody else issues it, so nothing more is known of it.
 * `unknown`: its proxy is connected to another control plane, which has not written down yet what it has.
 */
export type ShownState = CertificateState | 'external' | 'unknown';

/** The certificate of one proxy for people. Times are epoch ms; what is not known is `undefined`. */
export interface CertificateView {
  readonly proxy: ProxyKey;
  /** From its SPIFFE IDs, sorted. */
  readonly services: readonly string[];
  readonly state: ShownState;
  readonly serial: string | undefined;
  readonly uriSans: readonly string[];
  /** What they must be by Mesh and Dataplane; empty when it needs none. */
  readonly expectedUriSans: readonly string[];
  /** Backend of the certificate; without one, the backend that shall issue it. */
  readonly backend: string | undefined;
  readonly issuer: string | undefined;
  /** SHA-256 of the trust anchor, upper-case hex with colons. */
  readonly anchorFingerprint: string | undefined;
  readonly notBefore: number | undefined;
  readonly notAfter: number | undefined;
  readonly issuedAt: number | undefined;
  readonly renewAt: number | undefined;
  readonly generation: number | undefined;
  /** Where its private key was made, and is. */
  readonly keys: 'proxy' | 'control-plane' | undefined;
  readonly failure: IssuanceFailure | undefined;
}

/** All that is known of the certificate of one proxy. */
export interface CertificateKnowledge {
  readonly proxy: ProxyKey;
  /** What its leaf must be by Mesh and Dataplane; `undefined`: it needs none. */
  readonly desired: DesiredIdentity | undefined;
  /** As this control plane has it: with a `desired` of its own when the proxy is connected here. */
  readonly own: IdentityState;
  /** As the control plane wrote it down that the proxy is, or was, connected to. */
  readonly insight: DataplaneInsightSpec | undefined;
}

/** Puts together what is known, the leaf at hand first, then what was written down. `now` in epoch ms. Pure. */
export function certificateView(known: CertificateKnowledge, now: number): CertificateView {
  const { proxy, desired, own, insight } = known;
  const leaf = desired === undefined ? undefined : (ownLeaf(own.leaf) ?? writtenLeaf(insight));
  const isOwn = own.desired !== undefined;
  return {
    proxy,
    services: servicesOf(proxy.mesh, leaf?.uriSans ?? desired?.uriSans ?? []),
    state: shownState(known, leaf, now),
    serial: leaf?.serial || undefined,
    uriSans: leaf?.uriSans ?? [],
    expectedUriSans: desired?.uriSans ?? [],
    backend: leaf?.backend || insight?.mTLS?.issuedBackend || desired?.backend,
    issuer: leaf?.issuer || undefined,
    // A filter looks at thousands of views, and never at this.
    get anchorFingerprint() {
      return leaf?.anchorPem === undefined ? undefined : fingerprintOf(leaf.anchorPem);
    },
    notBefore: leaf?.notBefore,
    notAfter: leaf?.notAfter,
    issuedAt: leaf?.issuedAt,
    renewAt: leaf?.renewAt,
    generation: leaf?.generation,
    keys: leaf?.keys,
    failure: isOwn ? own.failure : writtenFailure(insight),
  };
}

type ShownLeaf = Omit<HeldLeaf, 'chainPem' | 'keyPem' | 'keyId'> & Pick<CertificateView, 'keys'>;

function ownLeaf(leaf: HeldLeaf | undefined): ShownLeaf | undefined {
  return leaf && { ...leaf, keys: leaf.keyId === undefined ? 'control-plane' : 'proxy' };
}

function shownState({ desired, own, insight }: CertificateKnowledge, leaf: ShownLeaf | undefined, now: number) {
  if (desired === undefined) return 'none';
  if (leaf !== undefined) return certificateState(leaf, now);
  if (insight?.mTLS?.issuedBackend !== undefined) return 'external';
  const elsewhere = own.desired === undefined && isOnline(insight);
  return elsewhere && insight?.weft?.issuanceFailure === undefined ? 'unknown' : 'none';
}

/** A leaf that another control plane holds, or that has ended, from the insight; `undefined` without its end. */
function writtenLeaf(insight: DataplaneInsightSpec | undefined): ShownLeaf | undefined {
  const { mTLS, weft } = insight ?? {};
  const notAfter = timeOf(mTLS?.certificateExpirationTime);
  if (mTLS === undefined || notAfter === undefined) return undefined;
  const issuedAt = timeOf(mTLS.lastCertificateRegeneration) ?? notAfter;
  return {
    serial: weft?.certificate?.serial ?? '',
    uriSans: weft?.certificate?.uriSans ?? [],
    backend: mTLS.issuedBackend ?? '',
    issuer: weft?.certificate?.issuer ?? '',
    notBefore: timeOf(weft?.certificate?.notBefore) ?? issuedAt,
    notAfter,
    issuedAt,
    renewAt: timeOf(weft?.certificate?.renewAt) ?? notAfter,
    generation: mTLS.certificateRegenerations ?? 0,
    keys: weft?.certificate?.keys === 'proxy' ? 'proxy' : 'control-plane',
  };
}

function writtenFailure(insight: DataplaneInsightSpec | undefined): IssuanceFailure | undefined {
  const failure = insight?.weft?.issuanceFailure;
  const at = timeOf(failure?.at);
  if (failure === undefined || at === undefined) return undefined;
  const { message = '', attempts = 1, nextAttemptAt } = failure;
  return { message, at, since: at, attempts, nextAttemptAt: timeOf(nextAttemptAt) ?? at };
}

function isOnline(insight: DataplaneInsightSpec | undefined): boolean {
  return (
    insight?.subscriptions?.some(
      ({ connectTime, disconnectTime }) => connectTime !== undefined && disconnectTime === undefined,
    ) ?? false
  );
}

function servicesOf(mesh: string, uriSans: readonly string[]): readonly string[] {
  const prefix = `spiffe://${mesh}/`;
  return uriSans.flatMap((uri) => (uri.startsWith(prefix) ? [uri.slice(prefix.length)] : [])).sort();
}

function fingerprintOf(anchorPem: string): string | undefined {
  const der = parsePem(anchorPem)[0]?.der;
  return (
    der &&
    createHash('sha256')
      .update(der)
      .digest('hex')
      .toUpperCase()
      .replace(/..(?=.)/g, '$&:')
  );
}

function timeOf(text: string | undefined): number | undefined {
  const at = Date.parse(text ?? '');
  return Number.isNaN(at) ? undefined : at;
}
