/** What kind of failure it is: Weft chooses its pause before the next attempt by it. */
export type CaFailureCode =
  /** The issuer is not reached, or it broke. Asked again soon, by one proxy for all. */
  | 'unavailable'
  /** It said no, and would again. Asked again seldom, until the Mesh changes. */
  | 'denied'
  /** What was asked is not acceptable to it. As `denied`. */
  | 'invalid-request'
  /** Something has to be set up first; the message says what. */
  | 'not-configured'
  /** It is asked too often. */
  | 'throttled'
  /** It gave no answer in time. */
  | 'timeout'
  /** It tried and gave up on this request; a new one may do. */
  | 'failed';

/**
 * What `sign` and `trustAnchors` throw. Any other error counts as `failed`, with its message. The message is lower case and says what was tried, on what,
 * and what to do; people see it in `weft inspect mesh` and in the log. Never put a secret into it.
 */
export class CaFailure extends Error {
  readonly code: CaFailureCode;
  /** Something to paste that mends it: a command, or a piece of configuration. */
  readonly fix: string | undefined;
  constructor(code: CaFailureCode, message: string, options: { readonly cause?: unknown; readonly fix?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CaFailure';
    this.code = code;
    this.fix = options.fix;
  }
}
