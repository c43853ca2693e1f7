import type { ExpectedRow } from './rows.ts';

/** One test that was run, or could not be. Times in epoch ms. */
export interface Case {
  /** With the names of its suites before it. */
  readonly name: string;
  readonly file: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly startedAt: number;
  readonly endedAt: number;
}

/** A row of the matrix with what came out. */
export interface MatrixRow extends ExpectedRow {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** From the start of its first case to the end of its last, added up over its files; without what a file sets up before them. */
  readonly seconds: number;
}

/** Row and subject of a test, by its name: `F4` and `vault` of `vault F4 vault: hang takes no leaf away`. */
const ROW_OF_NAME = /\b([FS]\d+) ([a-z]+): /;

/** What runs the cases of `rows` and no other test, for vitest's `testNamePattern`. */
export function patternOf(rows: readonly ExpectedRow[]): RegExp {
  return new RegExp(`\\b(${rows.map(({ id, of }) => `${id} ${of}`).join('|')}): `);
}

export function buildMatrix(rows: readonly ExpectedRow[], cases: readonly Case[]): MatrixRow[] {
  return rows.map((row) => {
    const own = cases.filter(({ name }) => {
      const [, id, of] = ROW_OF_NAME.exec(name) ?? [];
      return id === row.id && of === row.of;
    });
    const count = (state: Case['state']) => own.filter((one) => one.state === state).length;
    return {
      ...row,
      passed: count('passed'),
      failed: count('failed'),
      skipped: count('skipped'),
      seconds: secondsOf(own.filter(({ state }) => state !== 'skipped')),
    };
  });
}

function secondsOf(run: readonly Case[]): number {
  const files = Map.groupBy(run, ({ file }) => file);
  const ms = [...files.values()].map(
    (cases) => Math.max(...cases.map(({ endedAt }) => endedAt)) - Math.min(...cases.map(({ startedAt }) => startedAt)),
  );
  return ms.reduce((sum, one) => sum + one, 0) / 1000;
}

/**
 * `passed`, `FAILED`, `skipped` (its neighbour is missing on this machine), or `MISSING`: there are fewer tests than there must be, so somebody took one away
 * or its file did not load.
 */
export function verdictOf(row: MatrixRow): 'passed' | 'FAILED' | 'skipped' | 'MISSING' {
  if (row.failed > 0) return 'FAILED';
  if (row.passed + row.skipped < row.cases) return 'MISSING';
  return row.skipped > 0 ? 'skipped' : 'passed';
}

/** As a Markdown table whose columns are aligned. */
export function formatMatrix(rows: readonly MatrixRow[], passLines: Readonly<Record<string, string>>): string {
  const lines = [
    ['row', 'of', 'cases', 'result', 'must hold', 's'],
    ...rows.map((row) => [
      row.id,
      row.of,
      `${row.passed}/${Math.max(row.cases, row.passed + row.failed + row.skipped)}`,
      verdictOf(row),
      passLines[row.id] ?? '',
      row.seconds.toFixed(row.seconds < 10 ? 1 : 0),
    ]),
  ];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const format = (line: readonly string[]) =>
    `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [format(lines[0]!), rule, ...lines.slice(1).map(format)].join('\n');
}
