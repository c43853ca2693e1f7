import type { KeyObject } from 'node:crypto';
import { requestBody } from '../../x509/request-template.ts';
import { crypto } from '../node.ts';

export type KeyType = 'ec-p256' | 'rsa-2048';

/** A private key of this proxy. It is in this process, in Envoy, and in one file; nowhere else. */
export interface OwnKey {
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex. */
  readonly id: string;
  readonly type: KeyType;
  readonly privateKey: KeyObject;
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
}

/** A new key; RSA takes a second or so of another thread. */
export async function makeKey(type: KeyType): Promise<OwnKey> {
  if (type === 'ec-p256') return ownKey(crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  return new Promise((resolve, reject) =>
    crypto.generateKeyPair('rsa', { modulusLength: 2048 }, (error, _public, privateKey) =>
      error ? reject(error) : resolve(ownKey(privateKey)),
    ),
  );
}

/** Throws when the text is no PEM of an RSA or EC key. */
export function readKey(pem: string): OwnKey {
  return ownKey(crypto.createPrivateKey(pem));
}

export function keyPem({ privateKey }: OwnKey): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function ownKey(privateKey: KeyObject): OwnKey {
  const publicKey = crypto.createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const id = crypto.createHash('sha256').update(publicKey).digest('hex');
  return { id, type: privateKey.asymmetricKeyType === 'rsa' ? 'rsa-2048' : 'ec-p256', privateKey, publicKey };
}

/** What a certificate is asked for with. */
export interface WantedNames {
  readonly uriSans: readonly string[];
  readonly dnsNames: readonly string[];
  /** '': none. */
  readonly commonName: string;
}

/** The signature of a PKCS#10 request with exactly these names: proof that the key is ours. */
export function signRequest(key: OwnKey, names: WantedNames): Buffer {
  return crypto.sign('sha256', requestBody({ publicKey: key.publicKey, ...names }), key.privateKey);
}
