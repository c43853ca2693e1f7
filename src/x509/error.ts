/** Stable codes of `X509Error`; callers switch on them. */
export type X509ErrorCode =
  /** Input over the size or count limit. */
  | 'too-large'
  /** No PEM block of the wanted kind. */
  | 'not-found'
  /** PEM or DER that cannot be read. */
  | 'malformed'
  | 'encrypted-key'
  | 'unsupported-key'
  /** The CA certificate does not allow to sign CRLs. */
  | 'no-crl-sign'
  | 'invalid-spiffe-id';

/** Anything wrong with a key, certificate or SPIFFE id. The message never holds the input itself. */
export class X509Error extends Error {
  readonly code: X509ErrorCode;
  constructor(code: X509ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'X509Error';
    this.code = code;
  }
}
