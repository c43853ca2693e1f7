import { type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { X509Error } from './error.ts';
import { EC_DIGESTS, type KeyPair } from './key.ts';
import { randomSerial } from './leaf.ts';
import { loadPeculiar } from './load-peculiar.ts';
import { toPem } from './pem.ts';

/** Bits of KeyUsage. Source: RFC 5280, 4.2.1.3. */
export const KEY_USAGE = {
  digitalSignature: 1,
  contentCommitment: 2,
  keyEncipherment: 4,
  dataEncipherment: 8,
  keyAgreement: 16,
  keyCertSign: 32,
  cRLSign: 64,
} as const;

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** What the checks of this folder need to know of one certificate, all of it read from the DER. */
export interface CertificateFacts {
  readonly der: Buffer;
  /** OpenSSL's view: signatures, dates, public key. Its SAN *string* is never used (CVE-2021-44531, CVE-2021-44532). */
  readonly node: X509Certificate;
  /** DER of the subject, the certificate's own bytes. */
  readonly subject: Buffer;
  /** RFC 4514. */
  readonly subjectText: string;
  /** RFC 4514. */
  readonly issuerText: string;
  readonly isCa: boolean;
  /** `undefined`: no limit. */
  readonly pathLength: number | undefined;
  /** `KEY_USAGE` bits; `undefined`: no such extension. */
  readonly keyUsage: number | undefined;
  /** OIDs; `undefined`: no such extension. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** In order. */
  readonly uriSans: readonly string[];
  /** In order. */
  readonly dnsSans: readonly string[];
  /** SANs that are neither: addresses, e-mail and so on. */
  readonly otherSans: number;
  /** Hash of the signature as WebCrypto names it, `SHA-256`; '' when unknown. */
  readonly signatureHash: string;
  readonly keyId: Buffer | undefined;
  /** OIDs of critical extensions that nothing here understands. */
  readonly unknownCritical: readonly string[];
}

const UNDERSTOOD = new Set([
  '2.5.29.14',
  '2.5.29.15',
  '2.5.29.17',
  '2.5.29.19',
  '2.5.29.30', // name constraints: left to Envoy, which applies them in every handshake
  '2.5.29.31',
  '2.5.29.32',
  '2.5.29.35',
  '2.5.29.36',
  '2.5.29.37',
  '2.5.29.54',
]);

/** Reads one certificate. Throws `malformed`. */
export async function inspectCertificate(der: Buffer): Promise<CertificateFacts> {
  const library = await loadPeculiar();
  const node = readNode(der);
  try {
    const certificate = new library.X509Certificate(der);
    const find = <T>(type: new (...args: never[]) => T) =>
      certificate.extensions.find((extension) => extension instanceof type) as T | undefined;
    const constraints = find(library.BasicConstraintsExtension);
    const names = find(library.SubjectAlternativeNameExtension)?.names.items ?? [];
    const keyId = find(library.SubjectKeyIdentifierExtension)?.keyId;
    const subject = Buffer.from(certificate.subjectName.toArrayBuffer());
    if (!der.includes(subject)) throw new Error('the subject is not DER');
    const repeated = certificate.extensions.length !== new Set(certificate.extensions.map(({ type }) => type)).size;
    if (repeated) throw new Error('an extension is repeated');
    return {
      der,
      node,
      subject,
      subjectText: rfc4514(certificate.subjectName.toJSON()),
      issuerText: rfc4514(certificate.issuerName.toJSON()),
      isCa: constraints?.ca ?? false,
      pathLength: constraints?.pathLength,
      keyUsage: find(library.KeyUsagesExtension)?.usages,
      extendedKeyUsage: find(library.ExtendedKeyUsageExtension)?.usages.map(String),
      uriSans: names.filter(({ type }) => type === 'url').map(({ value }) => value),
      dnsSans: names.filter(({ type }) => type === 'dns').map(({ value }) => value),
      otherSans: names.filter(({ type }) => type !== 'url' && type !== 'dns').length,
      signatureHash: signatureHash(certificate.signatureAlgorithm),
      keyId: keyId === undefined ? undefined : Buffer.from(keyId, 'hex'),
      unknownCritical: certificate.extensions.filter((e) => e.critical && !UNDERSTOOD.has(e.type)).map((e) => e.type),
    };
  } catch (cause) {
    throw new X509Error('malformed', 'read certificate: not valid X.509', { cause });
  }
}

/** OpenSSL's reading of one certificate. Throws `malformed`. */
export function readNode(der: Buffer): X509Certificate {
  try {
    const certificate = new X509Certificate(der);
    if (!certificate.raw.equals(der)) throw new Error('bytes after the end');
    certificate.publicKey;
    return certificate;
  } catch (cause) {
    throw new X509Error('malformed', 'read certificate: not valid X.509', { cause });
  }
}

function signatureHash(algorithm: object): string {
  const hash = 'hash' in algorithm ? algorithm.hash : undefined;
  if (typeof hash === 'string') return hash;
  return typeof hash === 'object' && hash !== null && 'name' in hash ? String(hash.name) : '';
}

/** Names as RFC 4514 writes them: last one first, commas, special characters escaped. */
function rfc4514(name: readonly Readonly<Record<string, readonly string[]>>[]): string {
  return name
    .map((rdn) =>
      Object.entries(rdn)
        .flatMap(([type, values]) => values.map((value) => `${type}=${escapeValue(value)}`))
        .join('+'),
    )
    .reverse()
    .join(',');
}

function escapeValue(value: string): string {
  return value.replace(/[,+"\\<>;=]|^[ #]|\s$/g, (character) => `\\${character}`).replaceAll('\0', '\\00');
}

/** Everything about a certificate to be made. */
export interface CertificateSpec {
  /** As the library takes it: `O=Kuma, OU=Mesh, CN=default`; '' for none. */
  readonly subject: string;
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** Absent: signed with the certificate's own key. */
  readonly issuer?: { readonly certificate: Buffer; readonly key: KeyObject };
  readonly key?: KeyObject;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isCa: boolean;
  readonly pathLength?: number;
  /** `KEY_USAGE` bits; absent: no extension. */
  readonly keyUsage?: number;
  readonly extendedKeyUsage?: readonly string[];
  readonly uriSans?: readonly string[];
  readonly dnsSans?: readonly string[];
  readonly ipSans?: readonly string[];
  /** `SHA-1` only in tests. */
  readonly hash?: 'SHA-256' | 'SHA-384' | 'SHA-512' | 'SHA-1';
}

/** Makes any certificate through the X.509 library; slow (milliseconds), for CAs and tests. DER. */
export async function createCertificate(spec: CertificateSpec): Promise<Buffer> {
  const library = await loadPeculiar();
  const signer = spec.issuer?.key ?? spec.key;
  if (!signer) throw new TypeError('either issuer or key must be given');
  const extensions: InstanceType<typeof library.Extension>[] = [];
  if (spec.keyUsage !== undefined) extensions.push(new library.KeyUsagesExtension(spec.keyUsage, true));
  if (spec.extendedKeyUsage) extensions.push(new library.ExtendedKeyUsageExtension([...spec.extendedKeyUsage]));
  extensions.push(new library.BasicConstraintsExtension(spec.isCa, spec.pathLength, true));
  const publicKey = new library.PublicKey(spec.publicKey as Uint8Array<ArrayBuffer>);
  if (spec.isCa) extensions.push(await library.SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto));
  const issuer = spec.issuer ? new library.X509Certificate(spec.issuer.certificate) : undefined;
  const issuerKeyId = issuer?.getExtension(library.SubjectKeyIdentifierExtension);
  if (issuerKeyId) extensions.push(new library.AuthorityKeyIdentifierExtension(issuerKeyId.keyId, false));
  const names = [
    ...(spec.uriSans ?? []).map((value) => ({ type: 'url' as const, value })),
    ...(spec.dnsSans ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(spec.ipSans ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  if (names.length > 0) extensions.push(new library.SubjectAlternativeNameExtension(names, spec.subject === ''));
  const signing = signingAlgorithm(signer, spec.hash);
  const certificate = await library.X509CertificateGenerator.create(
    {
      serialNumber: randomSerial().toString('hex'),
      subject: spec.subject,
      issuer: issuer ? issuer.subjectName : spec.subject,
      notBefore: new Date(spec.notBefore),
      notAfter: new Date(spec.notAfter),
      publicKey,
      signingKey: signer.toCryptoKey(signing, false, ['sign']),
      signingAlgorithm: signing,
      extensions,
    },
    webcrypto,
  );
  return Buffer.from(certificate.rawData);
}

const CURVE_NAMES: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
};

/** WebCrypto's name for signing with `key`: the hash of the curve, SHA-256 for RSA, unless `hash` says otherwise. */
export function signingAlgorithm(key: KeyObject, hash?: string): { name: string; hash: string; namedCurve: string } {
  const curve = key.asymmetricKeyDetails?.namedCurve ?? '';
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: hash ?? 'SHA-256', namedCurve: '' };
  const own = (EC_DIGESTS[curve] ?? 'sha256').replace('sha', 'SHA-');
  return { name: 'ECDSA', hash: hash ?? own, namedCurve: CURVE_NAMES[curve] ?? '' };
}

/** The CA certificate of a `builtin` backend: subject, SAN, usages and dates of Kuma 2.11 `pkg/plugins/ca/builtin/ca.go`. PEM. */
export async function createMeshCa(options: {
  readonly mesh: string;
  readonly keys: KeyPair;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
}): Promise<string> {
  const der = await createCertificate({
    subject: `O=Kuma, OU=Mesh, CN=${options.mesh}`,
    publicKey: options.keys.publicKey,
    key: options.keys.privateKey,
    notBefore: options.notBefore,
    notAfter: options.notAfter,
    isCa: true,
    keyUsage: KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign,
    uriSans: [`spiffe://${options.mesh}`],
  });
  return toPem('CERTIFICATE', der);
}
