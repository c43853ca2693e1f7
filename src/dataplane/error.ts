/** Why the launcher can't do what it was asked; stable, callers switch on it. */
export type DataplaneErrorCode =
  /** A flag or environment value that can't be used. */
  | 'options_invalid'
  /** The Dataplane resource is missing, unreadable or names no proxy. */
  | 'dataplane_invalid'
  | 'token_unreadable'
  | 'ca_invalid'
  /** The control plane's certificate does not verify. Never retried. */
  | 'control_plane_untrusted'
  /** No answer within the retry time. */
  | 'control_plane_unreachable'
  /** The control plane answered with a refusal (4xx). Never retried. */
  | 'bootstrap_refused'
  | 'envoy_unusable'
  | 'envoy_not_found'
  | 'envoy_download_failed'
  | 'readiness_port_taken'
  /** Neither nft nor iptables is on this machine. */
  | 'redirect_tool_missing'
  /** The kernel refused: not root, or without NET_ADMIN. */
  | 'redirect_denied'
  | 'redirect_failed';

/** Every failure of this folder that a person can do something about; the message ends with the next step. */
export class DataplaneError extends Error {
  override readonly name = 'DataplaneError';
  readonly code: DataplaneErrorCode;

  constructor(code: DataplaneErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `code` of a Node system or TLS error; '' when there is none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
