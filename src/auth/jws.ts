import { AuthError } from './errors.ts';
import { isKid } from './signing-keys.ts';

/** Larger than a token with hundreds of tags; above it nothing is decoded. */
export const MAX_TOKEN_BYTES = 32 * 1024;
const MAX_HEADER_CHARS = 1024;

/** Headers that let a token bring its own key or change how it is read. RFC 7515 4.1.2-4.1.6, 4.1.11; RFC 7797. */
const FORBIDDEN_HEADERS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc'];

const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * Serial of the key that a compact JWS says it is signed with, before any signature is looked at. Only what we issue gets through:
 * three base64url parts, `alg` RS256, `kid` a string of digits, no header that names a key. Throws `AuthError`; cheap for any input.
 */
export function kidOf(token: string): string {
  if (token === '') throw new AuthError('missing', 'could not parse token: it is empty');
  if (token.length > MAX_TOKEN_BYTES) {
    throw new AuthError('malformed', `could not parse token: it is longer than ${MAX_TOKEN_BYTES} bytes`);
  }
  if (!COMPACT_JWS.test(token)) {
    throw new AuthError('malformed', 'could not parse token: it is not three base64url parts joined by dots');
  }
  const encoded = token.slice(0, token.indexOf('.'));
  if (encoded.length > MAX_HEADER_CHARS) {
    throw new AuthError('malformed', `could not parse token: its header is longer than ${MAX_HEADER_CHARS} characters`);
  }
  const header = parseHeader(encoded);
  for (const name of FORBIDDEN_HEADERS) {
    if (header.has(name)) throw new AuthError('unsupported', `could not parse token: header "${name}" is not accepted`);
  }
  if (header.get('alg') !== 'RS256') {
    throw new AuthError('unsupported', 'could not parse token: only RS256 signatures are accepted');
  }
  if (!header.has('kid')) throw new AuthError('invalid-kid', 'could not parse token: the header has no "kid"');
  const kid = header.get('kid');
  if (!isKid(kid)) throw new AuthError('invalid-kid', 'could not parse token: "kid" must be a string of digits');
  return kid;
}

function parseHeader(encoded: string): ReadonlyMap<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
  } catch {
    throw new AuthError('malformed', 'could not parse token: its header is not JSON');
  }
  if (header === null || typeof header !== 'object' || Array.isArray(header)) {
    throw new AuthError('malformed', 'could not parse token: its header is not a JSON object');
  }
  return new Map(Object.entries(header));
}
