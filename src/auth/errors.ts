/** Stable codes of `AuthError`; callers switch on them. */
export type AuthErrorCode =
  /** No credential where one is needed. */
  | 'missing'
  /** Not a compact JWS of JSON objects, or larger than any real token. */
  | 'malformed'
  /** `alg` is not RS256, or the header points at a key of its own (`jku`, `jwk`, `x5u`, `x5c`) or at an extension (`crit`, `b64`). */
  | 'unsupported'
  /** `kid` is missing or not a string of digits. */
  | 'invalid-kid'
  /** There is no signing key of that `kid`. */
  | 'unknown-key'
  | 'bad-signature'
  | 'expired'
  | 'not-yet-valid'
  | 'revoked'
  /** Who issued it does not accept it; the message says why. */
  | 'refused'
  /** Signed by us, but the claims are not those of this kind of token. */
  | 'invalid-claims'
  /** A good token of another proxy. */
  | 'not-bound'
  /** Issuing is switched off. */
  | 'issuer-disabled'
  /** The stored signing key can't be used. */
  | 'invalid-key';

/** Why a credential is refused. The message is for the user and never holds any part of the token but its claims' names and the binding. */
export class AuthError extends Error {
  readonly code: AuthErrorCode;
  constructor(code: AuthErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'AuthError';
    this.code = code;
  }
}

/** Nobody could say whether the credential is good: ask again later. Never means yes. */
export class AuthUnavailableError extends Error {
  readonly code = 'unavailable';
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'AuthUnavailableError';
  }
}
