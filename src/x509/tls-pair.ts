import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { CLIENT_AUTH, createCertificate, KEY_USAGE, SERVER_AUTH } from './certificate.ts';
import { generateEcKey, parsePrivateKey, toPkcs8Pem } from './key.ts';
import { toPem } from './pem.ts';

/** A certificate with its private key, as PEM. */
export interface TlsPair {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A self-signed CA, ECDSA P-256. `now` is epoch ms. */
export async function createCa(subject: string, now: number, lifeMs: number): Promise<TlsPair> {
  const keys = generateEcKey();
  const der = await createCertificate({
    subject,
    publicKey: keys.publicKey,
    key: keys.privateKey,
    notBefore: now - 10_000,
    notAfter: now + lifeMs,
    isCa: true,
    keyUsage: KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign,
  });
  return { certPem: toPem('CERTIFICATE', der), keyPem: toPkcs8Pem(keys.privateKey) };
}

/** A leaf of `ca` for TLS servers or clients, ECDSA P-256. `names` are host names and addresses. */
export async function createTlsLeaf(
  ca: TlsPair,
  options: { subject: string; names: readonly string[]; usage: 'server' | 'client'; now: number; lifeMs: number },
): Promise<TlsPair> {
  const keys = generateEcKey();
  const der = await createCertificate({
    subject: options.subject,
    publicKey: keys.publicKey,
    issuer: { certificate: new X509Certificate(ca.certPem).raw, key: parsePrivateKey(ca.keyPem).privateKey },
    notBefore: options.now - 10_000,
    notAfter: options.now + options.lifeMs,
    isCa: false,
    keyUsage: KEY_USAGE.digitalSignature,
    extendedKeyUsage: [options.usage === 'server' ? SERVER_AUTH : CLIENT_AUTH],
    dnsSans: options.names.filter((name) => isIP(name) === 0),
    ipSans: options.names.filter((name) => isIP(name) !== 0),
  });
  return { certPem: toPem('CERTIFICATE', der), keyPem: toPkcs8Pem(keys.privateKey) };
}

/** Whether the first certificate of `certPem` is signed by `caPem` and good for every name. Throws when either can't be read. */
export function isLeafFor(certPem: string, caPem: string, names: readonly string[]): boolean {
  const certificate = new X509Certificate(certPem);
  if (!certificate.verify(new X509Certificate(caPem).publicKey)) return false;
  return names.every(
    (name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined,
  );
}
