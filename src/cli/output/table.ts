/** Rows as kubectl and kumactl print them: columns padded to their widest cell and three blanks, no lines. Every line ends with a newline. */
export function tableText(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headers, ...rows];
  const widths = headers.map((_, column) => Math.max(...lines.map((line) => [...(line[column] ?? '')].length)));
  const pad = (cell: string, column: number) =>
    column === headers.length - 1 ? cell : cell + ' '.repeat(widths[column]! - [...cell].length);
  return lines.map((line) => `${headers.map((_, column) => pad(line[column] ?? '', column)).join('   ')}\n`).join('');
}
