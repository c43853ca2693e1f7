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
  let below = first;
  for (const issuer of [...issuers, anchor]) {
    if (below.fingerprint256 === issuer.fingerprint256) continue;
    if (!below.checkIssued(issuer) || !below.verify(issuer.publicKey)) return 'its chain is broken';
    below = issuer;
  }
  return undefined;
}

function certificatesOf(pem: string): X509Certificate[] {
  try {
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    return blocks.map((block) => new crypto.X509Certificate(block));
  } catch {
    return [];
  }
}
