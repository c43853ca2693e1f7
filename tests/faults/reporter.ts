import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { buildMatrix, type Case, formatMatrix, verdictOf } from './matrix.ts';
import { type ExpectedRow, PASS_LINES } from './rows.ts';

/** Prints the fault matrix at the end of a run, and leaves exit code 1 when a row has failed or lacks cases. */
export class MatrixReporter implements Reporter {
  readonly #rows: readonly ExpectedRow[];
  constructor(rows: readonly ExpectedRow[]) {
    this.#rows = rows;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const matrix = buildMatrix(
      this.#rows,
      modules.flatMap((module) => [...module.children.allTests()].map(toCase)),
    );
    const bad = matrix.filter((row) => ['FAILED', 'MISSING'].includes(verdictOf(row)));
    if (bad.length > 0) process.exitCode = 1;
    const passed = matrix.reduce((sum, row) => sum + row.passed, 0);
    const total = matrix.reduce((sum, row) => sum + Math.max(row.cases, row.passed + row.failed + row.skipped), 0);
    const closing = `${matrix.length - bad.length} of ${matrix.length} rows, ${passed} of ${total} cases passed`;
    process.on('exit', () => console.log(`\n${formatMatrix(matrix, PASS_LINES)}\n\n${closing}`));
  }
}

function toCase(test: TestCase): Case {
  const { state } = test.result();
  const { startTime = 0, duration = 0 } = test.diagnostic() ?? {};
  return {
    name: test.fullName,
    file: test.module.relativeModuleId,
    state: state === 'passed' || state === 'failed' ? state : 'skipped',
    startedAt: startTime,
    endedAt: startTime + duration,
  };
}
