/**
 * What the command line makes without a running control plane: keys, tokens signed with a key at hand, self-signed TLS certificates.
 * It stands here because the layers let only this folder see both `cli`'s callers' needs and `auth` and `x509`.
 */
import { createPublicKey } from 'node:crypto';
import { isIP } from 'node:net';
import type { DataplaneClaims, UserClaims, ZoneClaims } from '../auth/claims.ts';
import type { SecretReader } from '../auth/secrets.ts';
import { generateSigningKey, isKid, keyLocation, parseSigningKey, type TokenKind } from '../auth/signing-keys.ts';
import { createTokens, type Tokens } from '../auth/tokens.ts';
import { CLIENT_AUTH, createCertificate, KEY_USAGE, SERVER_AUTH } from '../x509/certificate.ts';
import { generateEcKey, generateRsaKey, toPkcs8Pem } from '../x509/key.ts';
import { toPem } from '../x509/pem.ts';

export { generateSigningKey };

/** PEM (SPKI) of the public half of a signing key in PEM. Throws `AuthError` `invalid-key`. */
export function publicKeyOf(signingKey: Uint8Array, what: string): string {
  return createPublicKey(parseSigningKey(signingKey, what)).export({ type: 'spki', format: 'pem' }).toString();
}

/** A key with which tokens are signed here, instead of by a control plane. */
export interface OfflineKey {
  readonly kid: string;
  /** PEM. */
  readonly signingKey: Uint8Array;
}

export type TokenRequest =
  | { readonly kind: 'dataplane'; readonly claims: DataplaneClaims & { readonly mesh: string } }
  | { readonly kind: 'zone'; readonly claims: ZoneClaims }
  | { readonly kind: 'user'; readonly claims: UserClaims };

/** A token with the very claims a control plane would give it. Throws `AuthError` when the key or its id can't be used. */
export function signToken(
  request: TokenRequest,
  key: OfflineKey,
  validForMs: number,
  now: () => number,
): Promise<string> {
  const mesh = request.kind === 'dataplane' ? request.claims.mesh : '';
  const tokens = createTokens({ secrets: onlyKey(request.kind, mesh, key), now });
  return issue(tokens, request, validForMs);
}

function issue(tokens: Tokens, request: TokenRequest, validForMs: number): Promise<string> {
  switch (request.kind) {
    case 'dataplane':
      return tokens.issueDataplane(request.claims, validForMs);
    case 'zone':
      return tokens.issueZone(request.claims, validForMs);
    case 'user':
      return tokens.issueUser(request.claims, validForMs);
  }
}

/** Whether `text` can be the id of a signing key: digits. */
export function isKeyId(text: string): boolean {
  return isKid(text);
}

/** Secrets that hold this one signing key and nothing else. */
function onlyKey(kind: TokenKind, mesh: string, key: OfflineKey): SecretReader {
  const name = `${keyLocation(kind, mesh).prefix}-${key.kid}`;
  return {
    listSecretNames: async () => [name],
    readSecret: async (_mesh, asked) => (asked === name ? Buffer.from(key.signingKey) : undefined),
  };
}

/** Source: Kuma 2.11 `pkg/tls/cert.go`: ten years. */
const CERTIFICATE_LIFE_MS = 10 * 365 * 86_400_000;

export interface SelfSignedRequest {
  readonly usage: 'server' | 'client';
  /** DNS names and IP addresses; the first one is the common name. */
  readonly names: readonly string[];
  readonly keyType: 'rsa' | 'ecdsa';
  readonly now: number;
}

/** A certificate that is its own CA, so that the same file is what the other side trusts. PEM. */
export async function createSelfSigned(request: SelfSignedRequest): Promise<{ certPem: string; keyPem: string }> {
  const keys = request.keyType === 'rsa' ? await generateRsaKey(2048) : generateEcKey();
  const der = await createCertificate({
    subject: `CN=${request.names[0] ?? ''}`,
    publicKey: keys.publicKey,
    key: keys.privateKey,
    notBefore: request.now - 10_000,
    notAfter: request.now + CERTIFICATE_LIFE_MS,
    isCa: true,
    keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.keyEncipherment | KEY_USAGE.keyCertSign,
    extendedKeyUsage: [request.usage === 'server' ? SERVER_AUTH : CLIENT_AUTH],
    dnsSans: request.names.filter((name) => isIP(name) === 0),
    ipSans: request.names.filter((name) => isIP(name) !== 0),
  });
  return { certPem: toPem('CERTIFICATE', der), keyPem: toPkcs8Pem(keys.privateKey) };
}
