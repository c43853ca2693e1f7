import type { X509Certificate } from 'node:crypto';
import { type CertificateFacts, inspectCertificate } from './certificate.ts';
import { issued } from './chain.ts';

/** CA certificates that came with former answers of a CA, by their bytes: they are the same with nearly every one, and reading them costs more than the leaf. */
export interface KnownCas {
  /** As `inspectCertificate`. */
  inspect(certificate: X509Certificate): Promise<CertificateFacts>;
  /** As `issued`. */
  issued(issuer: X509Certificate, certificate: X509Certificate): boolean;
}

/** A CA has a few signers at a time; more than this many are forgotten. */
const MOST = 32;

export function createKnownCas(): KnownCas {
  const facts = new Map<string, CertificateFacts>();
  const links = new Map<string, boolean>();
  return {
    async inspect(certificate) {
      const id = certificate.fingerprint256;
      const known = facts.get(id);
      if (known !== undefined) return known;
      const found = await inspectCertificate(certificate.raw);
      if (facts.size >= MOST) facts.clear();
      facts.set(id, found);
      return found;
    },
    issued(issuer, certificate) {
      // Leaves come once.
      if (!certificate.ca) return issued(issuer, certificate);
      const id = `${issuer.fingerprint256}>${certificate.fingerprint256}`;
      const known = links.get(id);
      if (known !== undefined) return known;
      const found = issued(issuer, certificate);
      if (links.size >= MOST) links.clear();
      links.set(id, found);
      return found;
    },
  };
}
