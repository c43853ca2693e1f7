import type { X509Certificate } from 'node:crypto';
import { crypto } from '../node.ts';
import type { OwnKey } from './own-key.ts';

/** A certificate with its key, as Envoy presents it. */
export interface ServedLeaf {
  readonly key: OwnKey;
  /** Lower-case hex. */
  readonly serial: string;
  /** PEM, leaf first, without the anchor. */
  readonly chainPem: string;
  /** PEM of the CA certificate that the chain ends in. */
  readonly anchorPem: string;
}

/**
 * Why this must not be given to Envoy; `undefined`: nothing is wrong with it. The control plane checked it already: this is for what went wrong since.
 * `now` is epoch ms.
 */
export function leafProblem(leaf: ServedLeaf, now: number): string | undefined {
  const [first, ...issuers] = certificatesOf(leaf.chainPem);
  const [anchor] = certificatesOf(leaf.anchorPem);
  if (first === undefined) return 'no certificate can be read in it';
  if (anchor === undefined) return 'it comes without the CA that it stands on';
  if (first.serialNumber.toLowerCase() !== leaf.serial) return 'it has another serial number than was said';
  if (!first.checkPrivateKey(leaf.key.privateKey)) return 'it is for another key';
  if (now >= first.validToDate.getTime()) return `it expired at ${first.validToDate.toISOString()}`;
  const chain = [first, ...issuers];
  const linked = issuers.every((issuer, index) => isSignedBy(chain[index]!, issuer));
  // Some issuers send more of the chain than is needed to reach what the mesh trusts.
  const anchored = chain.some((one) => one.fingerprint256 === anchor.fingerprint256 || isSignedBy(one, anchor));
  if (!linked || !anchored) return 'its chain is broken';
  return undefined;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function certificatesOf(pem: string): X509Certificate[] {
  try {
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    return blocks.map((block) => new crypto.X509Certificate(block));
  } catch {
    return [];
  }
}
