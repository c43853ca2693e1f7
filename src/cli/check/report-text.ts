/** The report for people: a line per group when all is well, every reason when it is not. Pure. */
import { GROUPS, type GroupId } from './catalogue.ts';
import type { Outcome } from './finding.ts';
import type { CheckReport } from './report.ts';

type Check = CheckReport['checks'][number];

export interface TextOptions {
  /** Every check, not only those that are not good. */
  readonly verbose: boolean;
  readonly colour: boolean;
}

const SIGNS: Readonly<Record<Outcome, string>> = { ok: '✓', warn: '!', fail: '✗', skip: '-' };
const COLOURS: Readonly<Record<Outcome, number>> = { ok: 32, warn: 33, fail: 31, skip: 90 };
/** The group looks like its worst check; one of which everything was skipped looks skipped. */
const WORST_FIRST: readonly Outcome[] = ['fail', 'warn', 'ok', 'skip'];

/** Ends with a newline. */
export function reportText(report: CheckReport, options: TextOptions): string {
  const groups = (Object.keys(GROUPS) as GroupId[])
    .map((group) => ({ group, checks: report.checks.filter((check) => check.group === group) }))
    .filter(({ checks }) => checks.length > 0);
  const namespace = report.namespace === undefined ? '' : `, namespace ${report.namespace}`;
  return [
    `${report.target}${namespace}`,
    ...groups.flatMap(({ group, checks }) => groupLines(group, checks, options)),
    '',
    totals(report),
    '',
  ].join('\n');
}

function groupLines(group: GroupId, checks: readonly Check[], options: TextOptions): string[] {
  const worst = WORST_FIRST.find((outcome) => checks.some((check) => check.outcome === outcome)) ?? 'skip';
  const shown = options.verbose ? checks : checks.filter(({ outcome }) => outcome === 'fail' || outcome === 'warn');
  const only = worst === 'skip' ? `: ${checks[0]!.message}` : '';
  return [
    `${sign(worst, options)} ${GROUPS[group]}${options.verbose ? '' : only}`,
    ...shown.flatMap((check) => checkLines(check, options)),
  ];
}

function checkLines(check: Check, options: TextOptions): string[] {
  const about = check.subject === undefined ? '' : ` (${check.subject})`;
  const line = `  ${sign(check.outcome, options)} ${check.id}${about}: ${check.message}`;
  if (check.outcome === 'ok' || check.outcome === 'skip') return [line];
  const hint = check.hint === undefined ? [] : check.hint.split('\n').map((one) => `      ${one}`);
  return [line, ...hint, `      see ${check.docs}`];
}

function sign(outcome: Outcome, { colour }: TextOptions): string {
  return colour ? `\u001b[${COLOURS[outcome]}m${SIGNS[outcome]}\u001b[39m` : SIGNS[outcome];
}

function totals({ counts }: CheckReport): string {
  return [
    `${counts.ok} ok`,
    ...(counts.warn > 0 ? [`${counts.warn} ${counts.warn === 1 ? 'warning' : 'warnings'}`] : []),
    ...(counts.fail > 0 ? [`${counts.fail} failed`] : []),
    ...(counts.skip > 0 ? [`${counts.skip} skipped`] : []),
  ].join(', ');
}
