import { type Document, isAlias, parseAllDocuments, stringify, visit, YAMLParseError } from 'yaml';
import { plainJsonProblem } from './plain-json.ts';

/** Longer texts are refused before they are parsed. */
export const MAX_YAML_CHARS = 4 * 1024 * 1024;
/** How many values aliases may add to one document. */
const MAX_ALIASES = 100;

/** Text that is no YAML, or YAML that is no plain JSON data. `line` and `column` count from 1; 0 when the place is not known. */
export class YamlError extends Error {
  readonly code = 'yaml';
  readonly line: number;
  readonly column: number;
  constructor(message: string, place?: { readonly line: number; readonly col: number }, cause?: unknown) {
    const where = place === undefined ? '' : ` at line ${place.line}, column ${place.col}`;
    super(`parse YAML${where}: ${message}`, cause === undefined ? undefined : { cause });
    this.name = 'YamlError';
    this.line = place?.line ?? 0;
    this.column = place?.col ?? 0;
  }
}

/** One document of a stream. `line` is where it starts, from 1. */
export interface YamlDocument {
  readonly value: unknown;
  readonly line: number;
}

/**
 * Every non-empty document of a YAML 1.2 (or JSON) text as plain JSON data. Throws `YamlError`, nothing else: for syntax, repeated keys,
 * `__proto__`, values without a JSON form, aliases that blow the document up, and too deep or too long texts.
 */
export function parseYamlDocuments(text: string): readonly YamlDocument[] {
  if (text.length > MAX_YAML_CHARS) throw new YamlError(`text is longer than ${MAX_YAML_CHARS} characters`);
  const tooDeep = nestingProblem(text);
  if (tooDeep !== undefined) throw tooDeep;
  let documents: readonly Document[];
  try {
    const parsed = parseAllDocuments(text, {
      version: '1.2',
      merge: true,
      logLevel: 'error',
      strict: true,
      uniqueKeys: true,
    });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    throw toYamlError(error);
  }
  return documents.flatMap((document) => readDocument(document, text));
}

/** YAML text of plain JSON data, in its key order, no line folding. */
export function toYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

function readDocument(document: Document, text: string): readonly YamlDocument[] {
  const problem = document.errors[0];
  if (problem !== undefined) throw toYamlError(problem);
  refuseAliasBombs(document);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    throw toYamlError(error);
  }
  if (value === null || value === undefined) return [];
  const unfit = plainJsonProblem(value);
  const line = lineAt(text, document.contents?.range?.[0] ?? document.range?.[0] ?? 0);
  if (unfit !== undefined) throw new YamlError(unfit, { line, col: 1 });
  return [{ value, line }];
}

/** An alias inside its own anchor would make a value without end. */
function refuseAliasBombs(document: Document): void {
  let count = 0;
  visit(document, {
    Alias(_key, node, path) {
      count += 1;
      if (count > MAX_ALIASES * 10) throw new YamlError('too many aliases');
      const target = node.resolve(document);
      if (target === undefined || isAlias(target) || path.includes(target))
        throw new YamlError(`alias *${node.source} can't be resolved`);
    },
  });
}

/**
 * The parser recurses on flow collections: a text of brackets alone would exhaust the stack before anything else can refuse it.
 * Brackets in strings and comments count too: the bound is far above what a real text holds open at once.
 */
function nestingProblem(text: string): YamlError | undefined {
  let open = 0;
  for (let index = 0; index < text.length; index += 1) {
    const char = text.charCodeAt(index);
    if (char === 0x5b || char === 0x7b) open += 1;
    else if (char === 0x5d || char === 0x7d) open = Math.max(0, open - 1);
    if (open > 500) return new YamlError('nested too deep', { line: lineAt(text, index), col: 1 });
  }
  return undefined;
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let index = text.indexOf('\n'); index !== -1 && index < offset; index = text.indexOf('\n', index + 1)) line += 1;
  return line;
}

function toYamlError(error: unknown): YamlError {
  if (error instanceof YamlError) return error;
  if (error instanceof YAMLParseError) {
    const first = error.message.split('\n')[0]!.replace(/ at line [0-9]+, column [0-9]+:?$/, '');
    return new YamlError(lowerFirst(first), error.linePos?.[0], error);
  }
  // What is left: aliases beyond the limit (ReferenceError) and nesting beyond the stack (RangeError).
  const reason =
    error instanceof RangeError ? 'nested too deep' : error instanceof Error ? lowerFirst(error.message) : 'unreadable';
  return new YamlError(reason, undefined, error);
}

function lowerFirst(message: string): string {
  return message.slice(0, 1).toLowerCase() + message.slice(1);
}
