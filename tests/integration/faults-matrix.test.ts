import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { buildMatrix, type Case, formatMatrix, patternOf, verdictOf } from '../faults/matrix.ts';
import { PASS_LINES, ROWS } from '../faults/rows.ts';

const ran = (name: string, state: Case['state'], startedAt = 0, endedAt = startedAt + 1000): Case => ({
  name,
  file: 'a.test.ts',
  state,
  startedAt,
  endedAt,
});
const rowOf = (id: string, of: string, cases: number) => ({ id, of, cases, files: [] });

it('the fault matrix counts the cases of each row by their names, and misses those that are not there', () => {
  const rows = [rowOf('F4', 'vault', 2), rowOf('F4', 'acmpca', 1), rowOf('F5', 'vault', 1), rowOf('F6', 'acmpca', 1)];
  const matrix = buildMatrix(rows, [
    ran('vault F4 vault: hang keeps the leaf', 'passed', 1000),
    ran('vault F4 vault: 403 keeps the leaf', 'passed', 1500, 4000),
    ran('acmpca F4 acmpca: hang keeps the leaf', 'failed'),
    ran('vault (no OpenBao here) F5 vault: half a PEM', 'skipped'),
    ran('something else of vault', 'failed'),
  ]);
  expect(matrix.map(verdictOf)).toEqual(['passed', 'FAILED', 'skipped', 'MISSING']);
  expect(formatMatrix(matrix, { F4: 'leaves stay' }).split('\n')).toEqual([
    '| row | of     | cases | result  | must hold   | s   |',
    '|-----|--------|-------|---------|-------------|-----|',
    '| F4  | vault  | 2/2   | passed  | leaves stay | 3.0 |',
    '| F4  | acmpca | 0/1   | FAILED  | leaves stay | 1.0 |',
    '| F5  | vault  | 0/1   | skipped |             | 0.0 |',
    '| F6  | acmpca | 0/1   | MISSING |             | 0.0 |',
  ]);
  expect(patternOf(rows.slice(0, 1)).test('vault F4 vault: hang')).toBe(true);
  expect(patternOf(rows.slice(0, 1)).test('acmpca F4 acmpca: hang')).toBe(false);
});

it('each row of the fault matrix has a pass line and files that are there', () => {
  expect(ROWS.filter(({ id }) => PASS_LINES[id] === undefined)).toEqual([]);
  expect(ROWS.flatMap(({ files }) => files).filter((file) => !existsSync(file))).toEqual([]);
});
