import type { X509Certificate } from 'node:crypto';
import { readNode } from './certificate.ts';
import { X509Error } from './error.ts';
import { PEM_LIMITS, type PemLimits, parsePem, toPem } from './pem.ts';

/** DER of every CERTIFICATE block, in order; other blocks are skipped. Throws `not-found` when there is none, `too-large`, `malformed`. */
export function parseCertificates(pem: string | Uint8Array, limits: PemLimits = PEM_LIMITS): readonly Buffer[] {
  const found = parsePem(pem, limits).filter(({ label }) => label === 'CERTIFICATE');
  if (found.length === 0) throw new X509Error('not-found', 'read certificates: no CERTIFICATE block in the PEM text');
  return found.map(({ der }) => der);
}

/** PEM of certificates, in the given order. */
export function formatCertificates(certificates: readonly Buffer[]): string {
  return certificates.map((der) => toPem('CERTIFICATE', der)).join('');
}

/**
 * The union of PEM bundles: certificates only, each once, sorted by their bytes, so that equal sets are equal strings.
 * Throws as `parseCertificates`.
 */
export function mergeBundles(pems: readonly string[]): string {
  const all = pems.flatMap((pem) => parseCertificates(pem)).sort(Buffer.compare);
  return formatCertificates(all.filter((der, index) => index === 0 || !der.equals(all[index - 1]!)));
}

/**
 * The chain that begins with the certificate of `publicKey` (DER SubjectPublicKeyInfo), each certificate once and issued by the next one; what does not belong to it is left out.
 * Some signers send their chain in another order, or parts of it twice. Without a certificate for that key the blocks are answered in the order they came, for the checks to refuse.
 * Throws as `parseCertificates`.
 */
export function arrangeChain(pem: string, publicKey: Uint8Array, limits?: PemLimits): string {
  const found = parseCertificates(pem, limits);
  const distinct = found.filter((der, index) => found.findIndex((other) => other.equals(der)) === index).map(readNode);
  const own = Buffer.from(publicKey);
  const leaf = distinct.find((node) => node.publicKey.export({ type: 'spki', format: 'der' }).equals(own));
  const chain = leaf === undefined ? distinct : pathUpward(leaf, distinct);
  return formatCertificates(chain.map(({ raw }) => raw));
}

/** True when every certificate of `pem` is in `other`. */
export function isSubset(pem: string, other: string): boolean {
  const known = new Set(parseCertificates(other).map((der) => der.toString('base64')));
  return parseCertificates(pem).every((der) => known.has(der.toString('base64')));
}

/**
 * The certificates that lead from `signer` up, `signer` first: each is issued by the next one. Those that cannot be linked are left out.
 * `others` may be in any order.
 */
export function pathUpward(signer: X509Certificate, others: readonly X509Certificate[]): readonly X509Certificate[] {
  const path = [signer];
  while (path.length <= others.length) {
    const top = path.at(-1)!;
    const next = others.find(
      (candidate) => !path.some((known) => known.raw.equals(candidate.raw)) && issued(candidate, top),
    );
    if (!next) return path;
    path.push(next);
  }
  return path;
}

/** True when `issuer` signed `certificate` (names, key ids, certSign usage and the signature itself). */
export function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** True when the chain (leaf first) reaches one of `anchors`: signatures only, no dates, no extensions. */
export function reachesAnchor(chainPem: string, anchors: readonly X509Certificate[]): boolean {
  const chain = parseCertificates(chainPem).map(readNode);
  for (const [index, certificate] of chain.entries()) {
    if (anchors.some((anchor) => issued(anchor, certificate))) return true;
    const next = chain[index + 1];
    if (!next || !issued(next, certificate)) return false;
  }
  return false;
}
