import type { Row } from './session.ts';

const FIXED = ['bench', 'program', 'n', 'store', 'xds', 'wall_s', 'cpu_s', 'rss_mb'];

/** Rows as aligned text; numbers that only some rows have are written at the end of their line. */
export function formatTable(rows: readonly Row[]): string {
  const lines = [FIXED, ...rows.map((row) => FIXED.map((name) => String(row[name])))];
  const widths = FIXED.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line, index) => {
      const cells = line
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ');
      const row = rows[index - 1];
      const extras = row ? Object.entries(row).filter(([name]) => !FIXED.includes(name)) : [];
      return `${cells}  ${extras.map(([name, value]) => `${name}=${value}`).join(' ')}`.trimEnd();
    })
    .join('\n');
}

/** Exponent of growth: slope of the least squares line through log(cpu_s) over log(n). `undefined` with fewer than two sizes. */
export function slope(rows: readonly Pick<Row, 'n' | 'cpu_s'>[]): number | undefined {
  const points = rows.filter((row) => row.cpu_s > 0).map((row) => [Math.log(row.n), Math.log(row.cpu_s)] as const);
  if (new Set(points.map(([x]) => x)).size < 2) return undefined;
  const mean = (index: 0 | 1) => points.reduce((total, point) => total + point[index], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const over = points.reduce((total, [x, y]) => total + (x - meanX) * (y - meanY), 0);
  const under = points.reduce((total, [x]) => total + (x - meanX) ** 2, 0);
  return over / under;
}

/** Wall and CPU of the peer divided by ours, for rows that differ in nothing else but the program and what it needs of it. */
export function ratios(rows: readonly Row[], ours: string): Row[] {
  return rows.map((row) => {
    if (row.program === ours) return row;
    const mine = rows.find((each) => each.program === ours && each.bench === row.bench && each.n === row.n);
    if (!mine) return row;
    const over = (a: number, b: number) => (b > 0 ? Math.round((a / b) * 10) / 10 : 0);
    return { ...row, wall_ratio: over(row.wall_s, mine.wall_s), cpu_ratio: over(row.cpu_s, mine.cpu_s) };
  });
}
