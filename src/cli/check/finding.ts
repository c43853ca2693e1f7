import type { CheckId } from './catalogue.ts';

/** `skip`: could not or need not be looked at; the message says why. */
export type Outcome = 'ok' | 'warn' | 'fail' | 'skip';

/** What one check found about one thing. */
export interface Finding {
  readonly id: CheckId;
  /** Which one, for a check that looks at several: `mesh default, backend ca-1`. */
  readonly subject?: string;
  readonly outcome: Outcome;
  /** One line, without a full stop. */
  readonly message: string;
  /** What to do about it: commands or a manifest, or a sentence; may have several lines. */
  readonly hint?: string;
}

/** What goes beside the message of a finding. */
export interface FindingNotes {
  readonly subject?: string | undefined;
  readonly hint?: string | undefined;
}

export const ok = (id: CheckId, message: string, subject?: string): Finding => finding(id, 'ok', message, { subject });

export const skip = (id: CheckId, message: string, subject?: string): Finding =>
  finding(id, 'skip', message, { subject });

/** A finding of any outcome. A message of several lines becomes one. */
export function finding(id: CheckId, outcome: Outcome, message: string, notes: FindingNotes = {}): Finding {
  return {
    id,
    ...(notes.subject === undefined ? {} : { subject: notes.subject }),
    outcome,
    message: message.trim().replaceAll(/\s*\n\s*/g, ' '),
    ...(notes.hint === undefined ? {} : { hint: notes.hint }),
  };
}

/** `a, b, c and 4 more`: no line grows with the size of the mesh. */
export function nameSome(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).join(', ');
  return names.length <= most ? shown : `${shown} and ${names.length - most} more`;
}
