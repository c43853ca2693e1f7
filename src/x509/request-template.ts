import { derBitString, derBoolean, derNull, derOctetString, derOid, derSequence, derValue } from './der.ts';

/**
 * A PKCS#10 request (RFC 2986), written straight as DER: byte for byte what the X.509 library makes of the same input, but for the signature. The library
 * takes longer for it than an issuer takes to sign, and more memory than a whole launcher has (docs/decisions/0024-keys-beside-the-proxy.md).
 */
export interface RequestFields {
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** ASCII, in order, at least one. */
  readonly uriSans: readonly string[];
  readonly dnsNames: readonly string[];
  /** '': the subject is empty. */
  readonly commonName: string;
}

const VERSION_1 = Buffer.from([0x02, 0x01, 0x00]);
/** Source: RFC 5758, 3.2 (no parameters) and RFC 4055, 5 (NULL). */
const SIGNATURES = {
  'ec-p256': derSequence(derOid('1.2.840.10045.4.3.2')),
  'rsa-2048': derSequence(derOid('1.2.840.113549.1.1.11'), derNull),
} as const;

/** DER of what is signed, with SHA-256: CertificationRequestInfo. */
export function requestBody(fields: RequestFields): Buffer {
  return derSequence(VERSION_1, subject(fields.commonName), fields.publicKey, attributes(fields));
}

/** DER of the request. `signature` over `body` is DER for ECDSA, PKCS#1 1.5 for RSA. */
export function buildRequest(body: Uint8Array, keyType: keyof typeof SIGNATURES, signature: Uint8Array): Buffer {
  return derSequence(body, SIGNATURES[keyType], derBitString(signature));
}

/** One name, as UTF8String unless PrintableString can hold it (RFC 5280, 4.1.2.4). */
function subject(commonName: string): Buffer {
  if (commonName === '') return derSequence();
  const tag = /^[A-Za-z0-9 '()+,./:=?-]*$/.test(commonName) ? 0x13 : 0x0c;
  const attribute = derSequence(derOid('2.5.4.3'), derValue(tag, Buffer.from(commonName, 'utf8')));
  return derSequence(derValue(0x31, attribute));
}

/** The extension request of PKCS#9 with the SAN extension in it; critical when the subject is empty (RFC 5280, 4.2.1.6). */
function attributes({ uriSans, dnsNames, commonName }: RequestFields): Buffer {
  const names = [
    ...uriSans.map((uri) => derValue(0x86, Buffer.from(uri, 'latin1'))),
    ...dnsNames.map((name) => derValue(0x82, Buffer.from(name, 'latin1'))),
  ];
  const subjectAltName = derSequence(
    derOid('2.5.29.17'),
    ...(commonName === '' ? [derBoolean(true)] : []),
    derOctetString(derSequence(...names)),
  );
  const extensions = derValue(0x31, derSequence(subjectAltName));
  return derValue(0xa0, derSequence(derOid('1.2.840.113549.1.9.14'), extensions));
}
