import { readNode } from '../x509/certificate.ts';
import { parseCertificates } from '../x509/chain.ts';
import { createCsr } from '../x509/csr.ts';
import { generateEcKey, type KeyPair, parsePrivateKey } from '../x509/key.ts';
import { createTrustStore, verifyLeaf } from '../x509/verify.ts';
import { type BackendConfig, CaError, type Chain, type SigningRequest, type TrustAnchors } from './backend.ts';

/** What the control plane asks a certificate for when it wants to know the issuer's CA: nobody has this key. */
const OWN_SERVICE = 'weft-control-plane';
const OWN_LIFETIME_MS = 3_600_000;
const OWN_TIMEOUT_MS = 60_000;

/** A request of the control plane's own, with the names a proxy's has. */
export function createOwnRequest(config: BackendConfig): { readonly request: SigningRequest; readonly keys: KeyPair } {
  const keys = generateEcKey();
  const uriSans = [`spiffe://${config.mesh}/${OWN_SERVICE}`, `kuma://kuma.io/service/${OWN_SERVICE}`];
  const request = {
    proxy: '',
    csr: (names: Parameters<SigningRequest['csr']>[0]) => createCsr(keys, uriSans, names),
    publicKey: keys.publicKey,
    uriSans,
    lifetimeMs: config.leafLifetimeMs ?? OWN_LIFETIME_MS,
    timeoutMs: OWN_TIMEOUT_MS,
  };
  return { request, keys };
}

/**
 * Asks for a certificate that nobody uses, to learn the issuer's CA, and whether it signs at all. For backends whose every answer says what to trust.
 * Throws as `sign`, and `invalid-answer` when the answer does not pass the checks of a leaf.
 */
export async function learnAnchors(
  config: BackendConfig,
  sign: (request: SigningRequest, signal: AbortSignal) => Promise<Chain>,
  now: () => number,
  signal: AbortSignal,
): Promise<TrustAnchors> {
  const { request, keys } = createOwnRequest(config);
  const chain = await sign(request, signal);
  const { pem, anchorsPem = '', dnsNames } = chain;
  const verdict = await verifyLeaf(pem, {
    keys: keyOf(chain, keys),
    uriSans: request.uriSans,
    ...(dnsNames === undefined ? {} : { dnsNames }),
    trust: await createTrustStore(anchorsPem),
    now: now(),
  });
  if (!verdict.ok) {
    throw new CaError('invalid-answer', `the CA's answer was refused (${verdict.code}): ${verdict.message}`);
  }
  const { anchorPem, chainPem } = verdict.leaf;
  const signers = [...parseCertificates(chainPem).slice(1), ...parseCertificates(anchorPem)];
  const ends = signers.map((der) => readNode(der).validToDate.getTime());
  return { pem: anchorPem, notAfter: Math.min(...ends) };
}

/** The key that a chain is for: the issuer's, where it made one, else `own`. Throws `CaError` `invalid-answer` when the issuer's cannot be used. */
export function keyOf<Own>(chain: Chain, own: Own): Own | KeyPair {
  if (chain.privateKeyPem === undefined) return own;
  try {
    return parsePrivateKey(chain.privateKeyPem);
  } catch (error) {
    // What the library says of a key names no part of it.
    const why = error instanceof Error ? error.message : 'it cannot be read';
    throw new CaError('invalid-answer', `the private key that came with the CA's answer cannot be used: ${why}`);
  }
}
