import { type KeyObject, webcrypto } from 'node:crypto';
import { type CertificateFacts, KEY_USAGE, signingAlgorithm } from './certificate.ts';
import { derPositiveInteger } from './der.ts';
import { X509Error } from './error.ts';
import { loadPeculiar } from './load-peculiar.ts';
import { toPem } from './pem.ts';

/** A certificate that is revoked. */
export interface RevokedCertificate {
  /** Hex. */
  readonly serial: string;
  /** Epoch ms since when. */
  readonly at: number;
}

export interface CrlSpec {
  /** The CA the certificates are of; the CRL is its own. */
  readonly issuer: CertificateFacts;
  /** Its private key. */
  readonly key: KeyObject;
  /** Grows with each CRL of this CA. Whole, not negative. */
  readonly number: number;
  /** Epoch ms. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly revoked: readonly RevokedCertificate[];
}

const CRL_NUMBER = '2.5.29.20';

/**
 * A CRL, PEM, with the authority key id and CRL number of RFC 5280, 5.2.1 and 5.2.3. Verifiers look for the CRL of an issuer by its name, so those of CAs of
 * one name are told apart by the key id. Throws `no-crl-sign` when the CA certificate does not allow to sign CRLs: nobody would accept it.
 */
export async function createCrl(spec: CrlSpec): Promise<string> {
  const { issuer, key } = spec;
  if (issuer.keyUsage !== undefined && (issuer.keyUsage & KEY_USAGE.cRLSign) === 0) {
    throw new X509Error(
      'no-crl-sign',
      `sign a CRL as ${issuer.subjectText}: key usage of the CA certificate has no cRLSign`,
    );
  }
  const library = await loadPeculiar();
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(spec.number));
  const signing = signingAlgorithm(key);
  const crl = await library.X509CrlGenerator.create(
    {
      issuer: new library.X509Certificate(issuer.der).subjectName,
      thisUpdate: new Date(spec.thisUpdate),
      nextUpdate: new Date(spec.nextUpdate),
      signingAlgorithm: signing,
      signingKey: key.toCryptoKey(signing, false, ['sign']),
      entries: spec.revoked.map(({ serial, at }) => ({
        serialNumber: serial,
        revocationDate: new Date(at),
        // Without a reason the library writes an empty list of extensions, and BoringSSL reads no such CRL (RFC 5280, 5.1: at least one).
        reason: library.X509CrlReason.keyCompromise,
      })),
      extensions: [
        ...(issuer.keyId === undefined
          ? []
          : [new library.AuthorityKeyIdentifierExtension(issuer.keyId.toString('hex'), false)]),
        new library.Extension(CRL_NUMBER, false, derPositiveInteger(number)),
      ],
    },
    webcrypto,
  );
  return toPem('X509 CRL', Buffer.from(crl.rawData));
}
