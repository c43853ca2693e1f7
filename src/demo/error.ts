/** Why `weft up` could not go on; stable, callers switch on it. */
export type DemoErrorCode =
  /** A process it started ended by itself; the message holds the tail of its log. */
  | 'child_ended'
  /** Something did not come about in time. */
  | 'timeout'
  /** The control plane refused a request. */
  | 'refused'
  /** A connection that must be refused was served. */
  | 'not_protected';

export class DemoError extends Error {
  override readonly name = 'DemoError';
  readonly code: DemoErrorCode;

  constructor(code: DemoErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
