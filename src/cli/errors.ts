import type { CliIo } from './io.ts';

/** Exit codes of every command. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

export type CliErrorCode =
  | 'usage'
  /** `check` could not look at anything: exit code 2, unlike a check that failed. */
  | 'unchecked'
  | 'config'
  | 'input'
  | 'connection'
  | 'not-found'
  | 'refused'
  | 'denied'
  | 'invalid-resource'
  | 'server';

export interface FieldReason {
  readonly field: string;
  readonly reason: string;
}

/** What a command tells the person who called it. `next` is what to do about it. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: CliErrorCode;
  readonly fields: readonly FieldReason[];
  readonly next: string | undefined;
  constructor(
    code: CliErrorCode,
    message: string,
    options: { fields?: readonly FieldReason[]; next?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.fields = options.fields ?? [];
    this.next = options.next;
  }
}

/** A mistake in the command line itself: exit code 2. */
export function usageError(message: string, next?: string): CliError {
  return new CliError('usage', message, next === undefined ? {} : { next });
}

/** Anything thrown, as a `CliError`. Typed errors of other folders keep their message and code. */
export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (!(error instanceof Error)) return new CliError('server', String(error));
  const problems = 'problems' in error && Array.isArray(error.problems) ? error.problems : undefined;
  if (problems !== undefined) {
    const fields = problems.map(({ field, reason, suggestion }) => ({
      field: String(field),
      reason: suggestion === undefined ? String(reason) : `${reason}, did you mean ${suggestion}?`,
    }));
    const message = error.message.split(':', 1)[0]!;
    return new CliError('config', message, {
      fields,
      next: 'see docs/reference/control-plane-config.md',
      cause: error,
    });
  }
  return new CliError('server', error.message, { cause: error });
}

/** The error as text: one line, or one line and a list when several fields are wrong, or one with something to paste. Ends with a newline. */
export function errorText(error: CliError): string {
  const next = error.next === undefined ? '' : `; ${error.next}`;
  const [first] = error.fields;
  if (first === undefined) return `error: ${error.message}${next}\n`;
  const isLine = error.fields.length === 1 && !first.reason.includes('\n');
  if (isLine) return `error: ${error.message}: ${fieldText(first)}${next}\n`;
  const lines = error.fields.map((field) => `  ${fieldText(field).trimEnd().replaceAll('\n', '\n    ')}\n`).join('');
  const count = `${error.fields.length} ${error.fields.length === 1 ? 'problem' : 'problems'}`;
  return `error: ${error.message}: ${count}${next}\n${lines}`;
}

function fieldText({ field, reason }: FieldReason): string {
  return field === '' ? reason : `${field}: ${reason}`;
}

/** The error for programs: one JSON object. */
export function errorJson(error: CliError): string {
  const { code, message, fields, next } = error;
  return `${JSON.stringify({ error: { code, message, fields, ...(next === undefined ? {} : { next }) } })}\n`;
}

/** Prints an error to stderr in the wanted form and gives the exit code. */
export function reportError(thrown: unknown, io: CliIo, json: boolean): number {
  const error = toCliError(thrown);
  const text = json ? errorJson(error) : errorText(error);
  const coloured = io.interactive && !json && !io.env['NO_COLOR'];
  io.stderr(coloured ? text.replace(/^error:/, '\u001b[31merror:\u001b[39m') : text);
  return error.code === 'usage' || error.code === 'unchecked' ? EXIT.usage : EXIT.failure;
}
