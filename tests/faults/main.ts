/**
 * The fault matrix as one command: `node tests/faults/main.ts`, or with ids of rows to run these only. Its cases are tests as any other and part of
 * `make test`; this runs them alone and prints what came out as a table. Exit code 1: a case failed, or a row has fewer cases than it must have.
 */
import { startVitest } from 'vitest/node';
import { patternOf } from './matrix.ts';
import { MatrixReporter } from './reporter.ts';
import { ROWS } from './rows.ts';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((id) => !ROWS.some((row) => row.id === id));
if (unknown.length > 0) {
  const known = [...new Set(ROWS.map(({ id }) => id))].join(', ');
  console.error(`no such row: ${unknown.join(', ')}; there are ${known}`);
  process.exit(2);
}
const rows = wanted.length === 0 ? ROWS : ROWS.filter(({ id }) => wanted.includes(id));
const vitest = await startVitest([...new Set(rows.flatMap(({ files }) => files))], {
  run: true,
  testNamePattern: patternOf(rows),
  reporters: ['default', new MatrixReporter(rows)],
});
await vitest.close();
