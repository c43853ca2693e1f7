/** Why nothing was done: `invalid`: the request cannot be met; `conflict`: another rotation is under way; `missing`: there is none. */
export type RotationRefusalCode = 'invalid' | 'conflict' | 'missing';

/** A request about a rotation that is refused. The message is one sentence with the next step. */
export class RotationRefused extends Error {
  override readonly name = 'RotationRefused';
  readonly code: RotationRefusalCode;
  /** The field of the request at fault; absent: none of them. */
  readonly field: string | undefined;
  constructor(code: RotationRefusalCode, message: string, field?: string) {
    super(message);
    this.code = code;
    this.field = field;
  }
}
