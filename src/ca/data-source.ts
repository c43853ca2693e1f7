import { type DataSource, validateDataSource } from '../resources/kinds/data-source.ts';
import type { CaDependencies } from './backend.ts';

/**
 * Bytes of the data source `value`, as found in a `conf`. Throws an `Error` that says what could not be loaded;
 * never with any of the content in it.
 */
export async function loadDataSource(mesh: string, value: unknown, deps: CaDependencies): Promise<Buffer> {
  const problem = validateDataSource(value, 'data source')[0];
  if (problem) throw new Error(`could not load data: ${problem.field} ${problem.message}`);
  // The check above saw exactly one source, and that it is text.
  const source = value as DataSource;
  if (source.secret !== undefined) {
    const value = await deps.secrets.read(mesh, source.secret);
    if (value) return value;
    throw new Error(
      `could not load data: resource not found: type="Secret" name="${source.secret}" mesh="${mesh}"; create the Secret first`,
    );
  }
  if (source.inline !== undefined) return Buffer.from(source.inline, 'base64');
  if (source.inlineString !== undefined) return Buffer.from(source.inlineString, 'utf8');
  try {
    return await deps.readFile(source.file ?? '');
  } catch (error) {
    throw new Error(`could not load data: ${error instanceof Error ? error.message : 'unknown error'}`);
  }
}

/** The name of the Secret a conf field points at; `undefined` when it points elsewhere. */
export function secretOf(value: unknown): string | undefined {
  const secret = typeof value === 'object' && value !== null && 'secret' in value ? value.secret : undefined;
  return typeof secret === 'string' && secret !== '' ? secret : undefined;
}
