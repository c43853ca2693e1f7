import { type Invocation, textOption } from '../command.ts';
import { tableText } from './table.ts';

export type OutputFormat = 'table' | 'yaml' | 'json';

/** Format asked for with `-o`; a table by default, a wide one too. */
export function formatOf(invocation: Invocation): OutputFormat {
  const format = textOption(invocation, 'output');
  return format === 'yaml' || format === 'json' ? format : 'table';
}

/** More columns were asked for, where a command has them: `-o wide`. */
export function isWide(invocation: Invocation): boolean {
  return textOption(invocation, 'output') === 'wide';
}

export interface TableView {
  readonly headers: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** A line below the table. */
  readonly footer?: string;
}

/** Prints the table, or the data behind it. The table is only built when it is wanted. */
export async function print(invocation: Invocation, data: unknown, table: () => TableView): Promise<void> {
  const format = formatOf(invocation);
  if (format !== 'table') return printData(invocation, format, data);
  const { headers, rows, footer } = table();
  invocation.io.stdout(tableText(headers, rows) + (footer === undefined ? '' : `\n${footer}\n`));
}

/** Prints one text, or with `-o yaml|json` the data behind it. */
export async function printText(invocation: Invocation, text: string, data: unknown): Promise<void> {
  const format = formatOf(invocation);
  if (format !== 'table') return printData(invocation, format, data);
  invocation.io.stdout(text);
}

async function printData(invocation: Invocation, format: 'yaml' | 'json', data: unknown): Promise<void> {
  invocation.io.stdout(format === 'json' ? `${JSON.stringify(data, null, 2)}\n` : await yamlText(data));
}

/** YAML with sorted keys, as kumactl prints it. Texts that YAML 1.1 readers take for times or flags are quoted. */
export async function yamlText(data: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(data, {
    version: '1.1',
    sortMapEntries: true,
    indentSeq: false,
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}
