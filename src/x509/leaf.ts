import { type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  derBitString,
  derBoolean,
  derNull,
  derOctetString,
  derOid,
  derPositiveInteger,
  derSequence,
  derTime,
  derValue,
} from './der.ts';
import { EC_DIGESTS } from './key.ts';

/**
 * The one leaf that `builtin` and `provided` issue, written straight as DER: ten times faster than through the X.509 library
 * (docs/decisions/0004-leaf-template.md). Content as Kuma 2.11 `pkg/core/ca/issuer/issuer.go` gives it.
 */
export interface LeafTemplate {
  /** Signed certificate as DER. */
  sign(fields: LeafFields, key: KeyObject): Buffer;
  /** True when `der` is byte for byte what this template makes of `fields`, whatever the signature. */
  matches(der: Buffer, fields: LeafFields): boolean;
}

/** What differs between two leaves of one CA. */
export interface LeafFields {
  /** Big endian, 1 to 20 bytes, not zero. */
  readonly serial: Uint8Array;
  /** Epoch ms; cut to whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** ASCII, in order, at least one. */
  readonly uriSans: readonly string[];
}

/** The CA as the template needs it. */
export interface LeafIssuer {
  /** DER of the CA certificate's subject, its own bytes. */
  readonly subject: Uint8Array;
  /** SubjectKeyIdentifier of the CA certificate, when it has one. */
  readonly keyId: Uint8Array | undefined;
  /** The CA's public (or private) key: decides the signature algorithm. */
  readonly key: KeyObject;
}

const VERSION_3 = Buffer.from([0xa0, 0x03, 0x02, 0x01, 0x02]);
const EMPTY_NAME = derSequence();

const extension = (oid: string, critical: boolean, value: Uint8Array): Buffer =>
  critical
    ? derSequence(derOid(oid), derBoolean(true), derOctetString(value))
    : derSequence(derOid(oid), derOctetString(value));

// digitalSignature, keyEncipherment, keyAgreement: bits 0, 2 and 4
const KEY_USAGE = extension('2.5.29.15', true, Buffer.from([0x03, 0x02, 0x03, 0xa8]));
const SERVER_AND_CLIENT_AUTH = extension(
  '2.5.29.37',
  false,
  derSequence(derOid('1.3.6.1.5.5.7.3.1'), derOid('1.3.6.1.5.5.7.3.2')),
);
const NOT_A_CA = extension('2.5.29.19', true, derSequence());

const SIGNATURES = {
  rsa: { oid: '1.2.840.113549.1.1.11', digest: 'sha256' },
  sha256: { oid: '1.2.840.10045.4.3.2', digest: 'sha256' },
  sha384: { oid: '1.2.840.10045.4.3.3', digest: 'sha384' },
  sha512: { oid: '1.2.840.10045.4.3.4', digest: 'sha512' },
} as const;

/** Makes the template of one CA. `issuer.key` must be one that `unsupported` has nothing against. */
export function createLeafTemplate(issuer: LeafIssuer): LeafTemplate {
  const rsa = issuer.key.asymmetricKeyType === 'rsa';
  const curve = issuer.key.asymmetricKeyDetails?.namedCurve ?? '';
  const { oid, digest } = SIGNATURES[rsa ? 'rsa' : (EC_DIGESTS[curve] ?? 'sha256')];
  const algorithm = rsa ? derSequence(derOid(oid), derNull) : derSequence(derOid(oid));
  const authorityKeyId = issuer.keyId ? [extension('2.5.29.35', false, derSequence(derValue(0x80, issuer.keyId)))] : [];

  function toBeSigned(fields: LeafFields): Buffer {
    const names = fields.uriSans.map((uri) => derValue(0x86, Buffer.from(uri, 'latin1')));
    // critical because the subject is empty: RFC 5280, 4.2.1.6
    const subjectAltName = extension('2.5.29.17', true, derSequence(...names));
    return derSequence(
      VERSION_3,
      derPositiveInteger(fields.serial),
      algorithm,
      issuer.subject,
      derSequence(derTime(fields.notBefore), derTime(fields.notAfter)),
      EMPTY_NAME,
      fields.publicKey,
      derValue(0xa3, derSequence(KEY_USAGE, SERVER_AND_CLIENT_AUTH, NOT_A_CA, ...authorityKeyId, subjectAltName)),
    );
  }

  return {
    sign(fields, key) {
      const body = toBeSigned(fields);
      return derSequence(body, algorithm, derBitString(sign(digest, body, key)));
    },
    matches(der, fields) {
      const expected = Buffer.concat([toBeSigned(fields), algorithm]);
      const headerBytes = der[1]! < 0x80 ? 2 : 2 + (der[1]! & 0x7f);
      return der.subarray(headerBytes, headerBytes + expected.length).equals(expected);
    },
  };
}

/** 128 random bits, never zero. Source: Kuma 2.11 (`[1, 2^128)`) and RFC 5280, 4.1.2.2. */
export function randomSerial(): Buffer {
  const serial = randomBytes(16);
  if (serial.every((byte) => byte === 0)) serial[15] = 1;
  return serial;
}
