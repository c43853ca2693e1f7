import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { AuthError } from './errors.ts';
import type { SecretCreator, SecretReader } from './secrets.ts';

export type TokenKind = 'dataplane' | 'zone' | 'user';

/** Digits only, as many as a serial can sensibly have. Anything else is never looked up, so a `kid` can't become a path or a query. */
const KID = /^[0-9]{1,15}$/;

export function isKid(value: unknown): value is string {
  return typeof value === 'string' && KID.test(value);
}

/** Where the keys of one kind of token live. Source: Kuma 2.11, compatibility reference 3 and 4.2. */
export interface KeyLocation {
  /** '' for the global kinds. */
  readonly mesh: string;
  /** Secret names are `<prefix>-<serial>`. */
  readonly prefix: string;
  /** Also accepted for checking: public keys that a global control plane hands to its zones. */
  readonly publicPrefix: string;
  /** Name of the secret with the revoked token ids. */
  readonly revocations: string;
}

/** `mesh` matters for dataplane tokens only: each mesh has its own keys. */
export function keyLocation(kind: TokenKind, mesh: string): KeyLocation {
  switch (kind) {
    case 'dataplane':
      return {
        mesh,
        prefix: `dataplane-token-signing-key-${mesh}`,
        publicPrefix: `dataplane-token-signing-public-key-${mesh}`,
        revocations: `dataplane-token-revocations-${mesh}`,
      };
    case 'zone':
    case 'user':
      return {
        mesh: '',
        prefix: `${kind}-token-signing-key`,
        publicPrefix: `${kind}-token-signing-public-key`,
        revocations: `${kind}-token-revocations`,
      };
    default:
      throw new TypeError(`no such kind of token: ${kind satisfies never}`);
  }
}

/** Serial of the newest key among secret names, as text; `undefined`: none is `<prefix>-<digits>`. */
export function latestSerial(names: readonly string[], prefix: string): string | undefined {
  let latest: string | undefined;
  for (const name of names) {
    if (!name.startsWith(`${prefix}-`)) continue;
    const serial = name.slice(prefix.length + 1);
    if (isKid(serial) && (latest === undefined || Number(serial) > Number(latest))) latest = serial;
  }
  return latest;
}

const MIN_RSA_BITS = 2048;

/** A new RSA-2048 key, PEM PKCS#1. Made off the event loop. */
export async function generateSigningKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: MIN_RSA_BITS,
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  return privateKey;
}

/** Private key of a signing key secret (PEM, or bare PKCS#1 DER). Throws `invalid-key`. */
export function parseSigningKey(value: Uint8Array, what: string): KeyObject {
  return parse(value, what, 'private');
}

/** Public key from a signing key secret or a configured public key (private or public, PEM or bare PKCS#1 DER). Throws `invalid-key`. */
export function parseVerificationKey(value: Uint8Array | string, what: string): KeyObject {
  return parse(typeof value === 'string' ? Buffer.from(value) : value, what, 'public');
}

function parse(value: Uint8Array, what: string, wanted: 'private' | 'public'): KeyObject {
  let key: KeyObject;
  try {
    key = wanted === 'private' ? createPrivateKey(asKeyInput(value)) : publicKeyOf(value);
  } catch {
    // Without the cause: OpenSSL's text tells nothing to the user, and nothing of the key may travel further.
    throw new AuthError(
      'invalid-key',
      `read ${what}: not an RSA key in PEM (PKCS#1, PKCS#8 or SPKI); replace it with the output of "generate signing-key"`,
    );
  }
  if (key.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) {
    throw new AuthError('invalid-key', `read ${what}: the key must be RSA with ${MIN_RSA_BITS} bits or more`);
  }
  return key;
}

function publicKeyOf(value: Uint8Array): KeyObject {
  try {
    return createPublicKey(asKeyInput(value));
  } catch {
    return createPublicKey(createPrivateKey(asKeyInput(value)));
  }
}

/** PEM says its own type; bare bytes are PKCS#1, as very old signing keys were stored. */
function asKeyInput(value: Uint8Array) {
  const key = Buffer.from(value);
  if (key.includes('-----BEGIN ')) return { key, format: 'pem' as const };
  return { key, format: 'der' as const, type: 'pkcs1' as const };
}

/** The key that signs now: the one with the highest serial. `undefined`: none yet. Throws `invalid-key`. */
export async function latestSigningKey(
  secrets: SecretReader,
  location: KeyLocation,
): Promise<{ kid: string; key: KeyObject } | undefined> {
  const kid = latestSerial(await secrets.listSecretNames(location.mesh, `${location.prefix}-`), location.prefix);
  if (kid === undefined) return undefined;
  const name = `${location.prefix}-${kid}`;
  const value = await secrets.readSecret(location.mesh, name);
  return value && { kid, key: parseSigningKey(value, secretText(location.mesh, name)) };
}

/**
 * Makes the first signing key when there is none. Safe to call again and from several replicas at once: they race to create the same name and one wins.
 * Resolves to true when this call made the key.
 */
export async function ensureSigningKey(secrets: SecretCreator, kind: TokenKind, mesh = ''): Promise<boolean> {
  const location = keyLocation(kind, mesh);
  const names = await secrets.listSecretNames(location.mesh, `${location.prefix}-`);
  if (latestSerial(names, location.prefix) !== undefined) return false;
  return secrets.createSecret(location.mesh, `${location.prefix}-1`, Buffer.from(await generateSigningKey()));
}

/** `Secret "n" in mesh "m"` or `GlobalSecret "n"`. */
export function secretText(mesh: string, name: string): string {
  return mesh === '' ? `GlobalSecret "${name}"` : `Secret "${name}" in mesh "${mesh}"`;
}

/** Kuma's clients show this text, so its wording stays close to compatibility reference 4.2. */
export function unknownKeyError(location: KeyLocation, kid: string): AuthError {
  const name = `${location.prefix}-${kid}`;
  const where =
    location.mesh === ''
      ? `GlobalSecret of name "${name}" is not found`
      : `Secret of name "${name}" in mesh "${location.mesh}" is not found`;
  return new AuthError(
    'unknown-key',
    `there is no signing key with KID ${kid}. ${where}. If signing key was rotated, regenerate the token`,
  );
}
