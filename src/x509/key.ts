import { createPrivateKey, createPublicKey, generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { X509Error } from './error.ts';
import { type PemBlock, parsePem } from './pem.ts';

/** Key types of a leaf. */
export type LeafKeyType = 'ec-p256' | 'rsa-2048';

/** A private key with its SubjectPublicKeyInfo (DER). */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: Buffer;
}

const generateRsa = promisify(generateKeyPair);

/** A new P-256 key; takes about 0.1 ms, hence synchronous. */
export function generateEcKey(): KeyPair {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey: pair.privateKey, publicKey: toSpki(pair.publicKey) };
}

/** A new RSA key, made on the thread pool: 60 ms and up for 2048 bits, many seconds for 8192. */
export async function generateRsaKey(bits: number): Promise<KeyPair> {
  const pair = await generateRsa('rsa', { modulusLength: bits });
  return { privateKey: pair.privateKey, publicKey: toSpki(pair.publicKey) };
}

/**
 * Reads the first private key of a PEM text: PKCS#8, PKCS#1 or SEC1; other blocks (`EC PARAMETERS`) are skipped.
 * Accepts RSA from 2048 bits and ECDSA on P-256, P-384, P-521: what Envoy can verify a signature of.
 * Throws `not-found`, `malformed`, `encrypted-key`, `unsupported-key`.
 */
export function parsePrivateKey(pem: string | Uint8Array): KeyPair {
  const block = parsePem(pem).find(({ label }) => label === 'PRIVATE KEY' || label.endsWith(' PRIVATE KEY'));
  if (!block) throw new X509Error('not-found', 'read private key: no PRIVATE KEY block in the PEM text');
  const privateKey = readKey(block);
  const problem = unsupported(privateKey);
  if (problem) throw new X509Error('unsupported-key', `read private key: ${problem}`);
  return { privateKey, publicKey: toSpki(createPublicKey(privateKey)) };
}

function readKey({ label, der }: PemBlock): KeyObject {
  if (label === 'ENCRYPTED PRIVATE KEY') {
    throw new X509Error('encrypted-key', 'read private key: it is encrypted; store it without a passphrase');
  }
  const type = KEY_FORMATS[label];
  if (!type) throw new X509Error('unsupported-key', `read private key: ${label} is not supported, use RSA or ECDSA`);
  try {
    return createPrivateKey({ key: der, format: 'der', type });
  } catch {
    // OpenSSL's own text is left out on purpose: it says nothing useful and the input is secret.
    throw new X509Error('malformed', `read private key: the ${label} block is not a valid key`);
  }
}

const KEY_FORMATS: Readonly<Record<string, 'pkcs8' | 'pkcs1' | 'sec1'>> = {
  'PRIVATE KEY': 'pkcs8',
  'RSA PRIVATE KEY': 'pkcs1',
  'EC PRIVATE KEY': 'sec1',
};

/** Why a key cannot be used here; `undefined` when it can. */
export function unsupported(key: KeyObject): string | undefined {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return modulusLength < 2048 ? `RSA with ${modulusLength} bits is too weak, 2048 is the least` : undefined;
    case 'ec':
      return namedCurve in EC_DIGESTS
        ? undefined
        : `the curve ${namedCurve} is not supported, use P-256, P-384 or P-521`;
    default:
      return `key type ${key.asymmetricKeyType} is not supported, use RSA or ECDSA`;
  }
}

/** Hash that goes with each curve, by OpenSSL's curve name. Source: RFC 5758, and what Go's crypto/x509 picks. */
export const EC_DIGESTS: Readonly<Record<string, 'sha256' | 'sha384' | 'sha512'>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
};

/** DER SubjectPublicKeyInfo of a public key. */
export function toSpki(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** PKCS#8 PEM; what Envoy gets. */
export function toPkcs8Pem(privateKey: KeyObject): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC1) PEM: the form Kuma writes its builtin CA keys in. */
export function toTraditionalPem(privateKey: KeyObject): string {
  const type = privateKey.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1';
  return privateKey.export({ type, format: 'pem' }) as string;
}
