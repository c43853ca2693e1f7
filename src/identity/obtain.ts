import { CaError, type Chain, type PendingRequest, type SigningRequest } from '../ca/backend.ts';
import { keyOf } from '../ca/own-leaf.ts';
import type { Clock } from '../lib/clock.ts';
import { parseCertificates } from '../x509/chain.ts';
import { type CsrNames, createCsr } from '../x509/csr.ts';
import { generateEcKey, generateRsaKey, type KeyPair, parsePrivateKey, toPkcs8Pem } from '../x509/key.ts';
import { toPem } from '../x509/pem.ts';
import { createTrustStore, type TrustStore, verifyLeaf } from '../x509/verify.ts';
import type { IssueReason } from './decide.ts';
import { formerLeaves } from './history.ts';
import type { DesiredIdentity, HeldLeaf, ProxyKey } from './identity.ts';
import { type OpenBackend, withDeadline } from './mesh-backends.ts';
import { type KeyHolder, keyIdOf, requestProxyKey } from './proxy-key.ts';
import type { Sealer } from './sealed.ts';

const ISSUE_TIMEOUT_MS = 60_000;
/** A key that a leaf is asked for. */
interface LeafKey {
  readonly publicKey: Buffer;
  csr(names?: CsrNames): Promise<Buffer>;
  /** Where the private key is: its PEM, or, beside the proxy, the id it has there. */
  readonly kept: { readonly keyPem: string } | { readonly keyId: string };
}

/** A leaf that passed every check. */
export interface Obtained {
  readonly leaf: HeldLeaf;
  /** The CA that the answer came with, when the backend has announced another one so far. */
  readonly learned: { readonly anchorPem: string; readonly trust: TrustStore } | undefined;
}

/** A new leaf from `backend`: key, CSR, signature, checks. A request that is under way already is finished instead. Throws with the reason; nothing is changed. */
export async function obtainLeaf(options: {
  proxy: ProxyKey;
  desired: DesiredIdentity;
  backend: OpenBackend;
  /** The leaf it replaces. */
  former: HeldLeaf | undefined;
  reason: IssueReason;
  sealer: Sealer;
  clock: Clock;
  /** Makes the key; `undefined`: it is made here. */
  holder: KeyHolder | undefined;
  /** Whether a leaf has this key already. */
  isKeyUsed: (keyId: string) => boolean;
  /** When a leaf issued now that is good until `end` is renewed; epoch ms. */
  renewal: (issuedAt: number, end: number) => number;
}): Promise<Obtained> {
  const { proxy, desired, backend, sealer, clock, holder } = options;
  if (backend.trust === undefined) {
    throw new CaError(
      'unavailable',
      `backend "${desired.backend}" of mesh ${proxy.mesh} does not say what to trust yet`,
    );
  }
  const timeoutMs = desired.requestTimeoutMs ?? ISSUE_TIMEOUT_MS;
  const { key, chain } = await withDeadline(timeoutMs, async (signal) => {
    const pending = await backend.ca.resume?.(proxy.name, desired.uriSans, signal);
    const kept = pending === undefined ? undefined : keyOfPending(pending);
    if (pending !== undefined && kept !== undefined) return { key: kept, chain: await pending.finish(signal) };
    const made = await makeKey();
    return { key: made, chain: await backend.ca.sign(requestFor(made), signal) };
  });
  if (holder !== undefined && chain.privateKeyPem !== undefined) {
    throw new CaError('denied', 'the issuer made a key itself, and that of this proxy is made beside it');
  }
  const found = keyOf(chain, key);
  const certified = 'privateKey' in found ? ownKey(found) : found;
  const now = clock.now();
  const trust = await trustOf(chain, backend);
  const verdict = await verifyLeaf(chain.pem, {
    keys: certified,
    uriSans: desired.uriSans,
    ...(chain.dnsNames === undefined ? {} : { dnsNames: chain.dnsNames }),
    trust,
    now,
  });
  if (!verdict.ok) {
    const hint = verdict.code === 'untrusted' ? '; if its CA was replaced, put the new CA certificate in its conf' : '';
    throw new CaError('invalid-answer', `the CA's answer was refused (${verdict.code}): ${verdict.message}${hint}`);
  }
  const { anchorPem } = verdict.leaf;
  const isNew = trust !== backend.trust;
  const leaf: HeldLeaf = Object.freeze({
    ...verdict.leaf,
    ...certified.kept,
    uriSans: desired.uriSans,
    backend: desired.backend,
    issuedAt: now,
    askedMs: desired.lifetimeMs,
    renewAt: options.renewal(now, Math.min(verdict.leaf.notAfter, now + desired.lifetimeMs)),
    generation: (options.former?.generation ?? 0) + 1,
    reason: options.reason,
    former: formerLeaves(options.former),
  });
  return { leaf, learned: isNew ? { anchorPem, trust: await createTrustStore(anchorPem) } : undefined };

  async function makeKey(): Promise<LeafKey> {
    if (holder === undefined)
      return ownKey(desired.keyType === 'ec-p256' ? generateEcKey() : await generateRsaKey(2048));
    const { keyId, publicKey, csr } = await requestProxyKey(holder, desired, options.isKeyUsed);
    return { publicKey, csr, kept: { keyId } };
  }

  /** The key of a request that is under way; `undefined`: it is of no use to this proxy. */
  function keyOfPending({ sealedKey, publicKey }: PendingRequest): LeafKey | undefined {
    if (holder === undefined) {
      const kept = sealedKey === undefined ? undefined : openKey(sealer, proxy, sealedKey);
      return kept === undefined ? undefined : ownKey(kept);
    }
    if (sealedKey !== undefined || publicKey === undefined) return undefined;
    const keyId = keyIdOf(publicKey);
    if (!holder.holds(keyId) || options.isKeyUsed(keyId)) return undefined;
    const asked = () => Promise.reject(new Error('a request that is under way has its CSR'));
    return { publicKey: Buffer.from(publicKey), csr: asked, kept: { keyId } };
  }

  function ownKey(keys: KeyPair): LeafKey {
    return {
      publicKey: keys.publicKey,
      csr: (names) => createCsr(keys, desired.uriSans, names),
      kept: { keyPem: toPkcs8Pem(keys.privateKey) },
    };
  }

  function requestFor({ publicKey, csr, kept }: LeafKey): SigningRequest {
    return {
      proxy: proxy.name,
      csr,
      publicKey,
      uriSans: desired.uriSans,
      lifetimeMs: desired.lifetimeMs,
      timeoutMs,
      ...('keyPem' in kept ? { sealedKey: () => sealer.sealKey(proxy, kept.keyPem) } : { keyIsElsewhere: true }),
    };
  }
}

/** The backend's own trust store, unless the answer names a CA that is not in it. */
async function trustOf(chain: Chain, backend: OpenBackend): Promise<TrustStore> {
  const known = backend.trust!;
  if (chain.anchorsPem === undefined) return known;
  try {
    const named = parseCertificates(chain.anchorsPem).map((der) => toPem('CERTIFICATE', der));
    const isKnown = named.every((pem) => known.anchors.some((anchor) => anchor.pem === pem));
    return isKnown ? known : await createTrustStore(chain.anchorsPem);
  } catch (cause) {
    throw new CaError('invalid-answer', 'the CA certificate that came with the answer cannot be read', { cause });
  }
}

function openKey(sealer: Sealer, proxy: ProxyKey, sealed: string): KeyPair | undefined {
  const pem = sealer.openKey(proxy, sealed);
  return pem === undefined ? undefined : parsePrivateKey(pem);
}
