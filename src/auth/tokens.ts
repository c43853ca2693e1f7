/**
 * Dataplane, zone and user tokens: RS256 JWTs signed with the newest key, checked against the key their `kid` names.
 * HS256 tokens of Kuma before 1.4 are not accepted: a public key would do as their secret, and Kuma drops them in 3.0.
 * Source: Kuma 2.11, compatibility reference 4.2; RFC 7515, RFC 7519.
 */
import { type KeyObject, randomUUID } from 'node:crypto';
import { type JWTPayload, errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import {
  type DataplaneClaims,
  dataplanePayload,
  parseDataplaneClaims,
  parseUserClaims,
  parseZoneClaims,
  type UserClaims,
  userPayload,
  type ZoneClaims,
  zonePayload,
} from './claims.ts';
import { AuthError } from './errors.ts';
import { kidOf } from './jws.ts';
import { createKeyCache, type KeyCache } from './key-cache.ts';
import type { SecretReader } from './secrets.ts';
import {
  isKid,
  type KeyLocation,
  keyLocation,
  latestSigningKey,
  parseVerificationKey,
  type TokenKind,
  unknownKeyError,
} from './signing-keys.ts';

/** A public key given by configuration, for tokens signed outside the control plane. `key` is PEM. */
export interface PublicKey {
  readonly kid: string;
  readonly key: string;
  /** Dataplane tokens: the mesh it is for. */
  readonly mesh?: string;
}

/** How one kind of token is issued and checked. Source: Kuma's `...validator` and `enableIssuer` settings. */
export interface TokenSettings {
  readonly enableIssuer: boolean;
  /** Check against stored signing keys. */
  readonly useSecrets: boolean;
  readonly publicKeys: readonly PublicKey[];
}

const DEFAULT_TOKEN_SETTINGS: TokenSettings = { enableIssuer: true, useSecrets: true, publicKeys: [] };

export interface Tokens {
  /** `validForMs` counts from now. The mesh's key signs: `claims.mesh` is required. Throws `unknown-key`, `issuer-disabled`, `invalid-key`. */
  issueDataplane(claims: DataplaneClaims & { readonly mesh: string }, validForMs: number): Promise<string>;
  issueZone(claims: ZoneClaims, validForMs: number): Promise<string>;
  issueUser(claims: UserClaims, validForMs: number): Promise<string>;
  /** Checks signature, times and revocation against the keys of `mesh`. Throws `AuthError`; a store error passes through as it is. */
  validateDataplane(token: string, mesh: string): Promise<DataplaneClaims>;
  validateZone(token: string): Promise<ZoneClaims>;
  validateUser(token: string): Promise<UserClaims>;
  /** A secret was written or deleted ('' is global): what was kept of it is dropped at once. */
  secretChanged(mesh: string, name: string): void;
}

/** Tokens start a little in the past, for clocks that differ. Source: Kuma 2.11. */
const BACKDATE_S = 5;

/** Makes the token service. Throws `invalid-key` or `invalid-kid` when a configured public key can't be used. */
export function createTokens(options: {
  readonly secrets: SecretReader;
  /** Epoch ms. */
  readonly now: () => number;
  readonly settings?: Partial<Record<TokenKind, TokenSettings>>;
  /** How long a key or revocation list read from the store is used before it is read again; default 5 s. */
  readonly cacheMs?: number;
}): Tokens {
  const { secrets, now } = options;
  const settingsOf = (kind: TokenKind) => options.settings?.[kind] ?? DEFAULT_TOKEN_SETTINGS;
  const cache = createKeyCache({ secrets, now, ttlMs: options.cacheMs ?? 5000 });
  const offline = offlineKeys(options.settings ?? {});

  async function issue(kind: TokenKind, mesh: string, payload: JWTPayload, validForMs: number): Promise<string> {
    if (!settingsOf(kind).enableIssuer) {
      throw new AuthError('issuer-disabled', 'issuing tokens using the control plane is disabled.');
    }
    const location = keyLocation(kind, mesh);
    const signing = await latestSigningKey(secrets, location);
    if (!signing) throw unknownKeyError(location, '1');
    const nowS = Math.floor(now() / 1000);
    return new SignJWT(payload)
      .setProtectedHeader({ alg: 'RS256', kid: signing.kid, typ: 'JWT' })
      .setJti(randomUUID())
      .setIssuedAt(nowS - BACKDATE_S)
      .setNotBefore(nowS - BACKDATE_S)
      .setExpirationTime(nowS + Math.ceil(validForMs / 1000))
      .sign(signing.key);
  }

  async function validate(kind: TokenKind, mesh: string, token: string): Promise<JWTPayload> {
    const kid = kidOf(token);
    const location = keyLocation(kind, mesh);
    const stored = settingsOf(kind).useSecrets ? await cache.key(location, kid) : undefined;
    const key = stored ?? offline.get(offlineKeyId(kind, mesh, kid));
    if (!key) throw unknownKeyError(location, kid);
    const payload = await verify(token, key, now());
    if (await isRevoked(cache, location, payload.jti)) throw new AuthError('revoked', 'token is revoked');
    return payload;
  }

  return {
    issueDataplane: (claims, validForMs) => issue('dataplane', claims.mesh, dataplanePayload(claims), validForMs),
    issueZone: (claims, validForMs) => issue('zone', '', zonePayload(claims), validForMs),
    issueUser: (claims, validForMs) => issue('user', '', userPayload(claims), validForMs),
    validateDataplane: async (token, mesh) => parseDataplaneClaims(await validate('dataplane', mesh, token)),
    validateZone: async (token) => parseZoneClaims(await validate('zone', '', token)),
    validateUser: async (token) => parseUserClaims(await validate('user', '', token)),
    secretChanged: (mesh, name) => cache.forget(mesh, name),
  };
}

async function verify(token: string, key: KeyObject, nowMs: number): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['RS256'],
      currentDate: new Date(nowMs),
      requiredClaims: ['exp', 'jti'],
    });
    if (typeof payload.jti !== 'string')
      throw new AuthError('invalid-claims', 'token is not valid: claim "jti" must be a string');
    return payload;
  } catch (error) {
    if (error instanceof AuthError) throw error;
    throw refusal(error);
  }
}

function refusal(error: unknown): AuthError {
  if (error instanceof joseErrors.JWTExpired) return new AuthError('expired', 'could not parse token: it is expired');
  if (error instanceof joseErrors.JWSSignatureVerificationFailed) {
    return new AuthError('bad-signature', 'could not parse token: its signature does not match the signing key');
  }
  if (error instanceof joseErrors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf' && error.reason === 'check_failed') {
      return new AuthError(
        'not-yet-valid',
        'token is not yet valid: check that the clock of the instance that issued it is set correctly',
      );
    }
    return new AuthError('invalid-claims', `token is not valid: claim "${error.claim}" is missing or wrong`);
  }
  return new AuthError('malformed', 'could not parse token', { cause: error });
}

async function isRevoked(cache: KeyCache, location: KeyLocation, jti: string | undefined): Promise<boolean> {
  return jti !== undefined && (await cache.revoked(location)).has(jti);
}

function offlineKeyId(kind: TokenKind, mesh: string, kid: string): string {
  return `${kind}/${kind === 'dataplane' ? mesh : ''}/${kid}`;
}

function offlineKeys(settings: Partial<Record<TokenKind, TokenSettings>>): ReadonlyMap<string, KeyObject> {
  const keys = new Map<string, KeyObject>();
  for (const kind of ['dataplane', 'zone', 'user'] as const) {
    for (const given of settings[kind]?.publicKeys ?? []) {
      if (!isKid(given.kid)) {
        throw new AuthError('invalid-kid', `configure public keys of ${kind} tokens: "kid" must be a string of digits`);
      }
      const what = `public key ${given.kid} of ${kind} tokens`;
      keys.set(offlineKeyId(kind, given.mesh ?? '', given.kid), parseVerificationKey(given.key, what));
    }
  }
  return keys;
}
