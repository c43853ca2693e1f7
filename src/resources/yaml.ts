import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  parseAllDocuments,
  stringify,
  visit,
  YAMLParseError,
} from 'yaml';
import { plainJsonProblem } from './plain-json.ts';

/** Longer texts are refused before they are parsed, unless the caller allows more: a second of work at the very most. */
const MAX_YAML_CHARS = 512 * 1024;
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
 * `maxChars` is for texts of the people who run the program.
 */
export function parseYamlDocuments(
  text: string,
  options: { readonly maxChars?: number } = {},
): readonly YamlDocument[] {
  const maxChars = options.maxChars ?? MAX_YAML_CHARS;
  if (text.length > maxChars) throw new YamlError(`text is longer than ${maxChars} characters`);
  const tooDeep = nestingProblem(text);
  if (tooDeep !== undefined) throw tooDeep;
  const lines = new LineCounter();
  let documents: readonly Document[];
  try {
    const parsed = parseAllDocuments(text, {
      version: '1.2',
      merge: true,
      logLevel: 'error',
      lineCounter: lines,
      prettyErrors: false,
      strict: true,
      uniqueKeys: false,
    });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    throw toYamlError(error, lines);
  }
  return documents.flatMap((document) => readDocument(document, lines));
}

/** YAML text of plain JSON data, in its key order, no line folding. */
export function toYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

function readDocument(document: Document, lines: LineCounter): readonly YamlDocument[] {
  const problem = document.errors[0];
  if (problem !== undefined) throw toYamlError(problem, lines);
  checkNodes(document, lines);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    throw toYamlError(error, lines);
  }
  if (value === null || value === undefined) return [];
  const unfit = plainJsonProblem(value);
  const { line } = lines.linePos(document.contents?.range?.[0] ?? document.range?.[0] ?? 0);
  if (unfit !== undefined) throw new YamlError(unfit, { line, col: 1 });
  return [{ value, line }];
}

/**
 * What the parser would let through or pay too much for: an alias inside its own anchor (a value without end), an alias to nowhere,
 * very many aliases, and repeated keys, which it looks for in quadratic time.
 */
function checkNodes(document: Document, lines: LineCounter): void {
  const anchors = new Map<string, Node>();
  let aliases = 0;
  const refuse = (message: string, node: Node) => {
    throw new YamlError(message, lines.linePos(node.range?.[0] ?? 0));
  };
  visit(document, {
    Node(_key, node, path) {
      if (isAlias(node)) {
        aliases += 1;
        const target = anchors.get(node.source);
        if (aliases > MAX_ALIASES * 10) refuse('too many aliases', node);
        if (target === undefined || path.includes(target)) refuse(`alias *${node.source} can't be resolved`, node);
        return;
      }
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      if (!isMap(node)) return;
      const keys = new Set<unknown>();
      for (const { key } of node.items) {
        if (!isScalar(key) || key.value === '<<') continue;
        if (keys.has(key.value)) refuse(`key ${JSON.stringify(String(key.value).slice(0, 80))} is repeated`, key);
        keys.add(key.value);
      }
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
    if (open > 500) return new YamlError('nested too deep');
  }
  return undefined;
}

function toYamlError(error: unknown, lines: LineCounter): YamlError {
  if (error instanceof YamlError) return error;
  if (error instanceof YAMLParseError) {
    const message = error.message.includes('call stack') ? 'nested too deep' : lowerFirst(error.message);
    return new YamlError(message, lines.linePos(error.pos[0]), error);
  }
  // What is left: aliases beyond the limit (ReferenceError) and nesting beyond the stack (RangeError).
  const reason =
    error instanceof RangeError ? 'nested too deep' : error instanceof Error ? lowerFirst(error.message) : 'unreadable';
  return new YamlError(reason, undefined, error);
}

function lowerFirst(message: string): string {
  return message.slice(0, 1).toLowerCase() + message.slice(1);
}
