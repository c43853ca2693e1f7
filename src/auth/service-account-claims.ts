import { AuthError } from './errors.ts';
import { MAX_TOKEN_BYTES } from './jws.ts';

/** What a ServiceAccount token says of itself. Nothing here is proven: it serves to refuse early, and to know how long the token can live. */
export interface ServiceAccountClaims {
  readonly audiences: readonly string[];
  /** Epoch ms; `undefined`: it never ends, as tokens kept in Secrets. */
  readonly expiresAt: number | undefined;
  /** It belongs to one Pod and ends with it. */
  readonly isBoundToPod: boolean;
}

const COMPACT_JWS = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/;

/** Throws `AuthError` `missing` or `malformed`. Source: Kubernetes "Managing Service Accounts", schema of ServiceAccount tokens. */
export function readServiceAccountClaims(token: string): ServiceAccountClaims {
  if (token === '') throw new AuthError('missing', 'could not parse token: it is empty');
  if (token.length > MAX_TOKEN_BYTES) {
    throw new AuthError('malformed', `could not parse token: it is longer than ${MAX_TOKEN_BYTES} bytes`);
  }
  const encoded = COMPACT_JWS.exec(token)?.[1];
  if (encoded === undefined) {
    throw new AuthError('malformed', 'could not parse token: it is not three base64url parts joined by dots');
  }
  const payload = parseObject(encoded);
  const { aud, exp, 'kubernetes.io': kubernetes } = payload;
  if (exp !== undefined && (typeof exp !== 'number' || !Number.isFinite(exp))) {
    throw new AuthError('malformed', 'could not parse token: claim "exp" must be a number');
  }
  const pod = isObject(kubernetes) ? kubernetes['pod'] : undefined;
  return {
    audiences: (Array.isArray(aud) ? aud : [aud]).filter((one) => typeof one === 'string'),
    expiresAt: exp === undefined ? undefined : exp * 1000,
    isBoundToPod: isObject(pod) && typeof pod['uid'] === 'string' && pod['uid'] !== '',
  };
}

function parseObject(encoded: string): Record<string, unknown> {
  let payload: unknown;
  try {
    payload = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
  } catch {
    throw new AuthError('malformed', 'could not parse token: its payload is not JSON');
  }
  if (!isObject(payload)) throw new AuthError('malformed', 'could not parse token: its payload is not a JSON object');
  return payload;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
