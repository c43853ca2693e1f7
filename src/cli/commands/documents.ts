import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { asJson, asText, type Json } from '../api/answers.ts';
import { CliError, type FieldReason } from '../errors.ts';
import type { CliIo } from '../io.ts';

/** Text of one file, stream or page, with its name. */
export interface DocumentSource {
  readonly name: string;
  readonly text: string;
}

/** One resource as a person wrote it. `where` says which one, for messages. */
export interface ResourceDocument {
  readonly where: string;
  readonly data: Json;
}

/** Every text behind `-f`: standard input for `-`, a page for a URL, the YAML and JSON files of a folder in order. Throws `input`. */
export async function readDocuments(file: string, io: CliIo): Promise<readonly DocumentSource[]> {
  if (file === '-') return [{ name: 'standard input', text: await io.readStdin() }];
  if (/^https?:\/\//.test(file)) return [{ name: file, text: await readPage(file, io.signal) }];
  const names = await listFiles(file);
  return Promise.all(names.map(async (name) => ({ name, text: await readText(name) })));
}

async function listFiles(path: string): Promise<readonly string[]> {
  const info = await stat(path).catch((error) => {
    throw unreadable(path, error);
  });
  if (!info.isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory() && ['.yaml', '.yml', '.json'].includes(extname(entry.name).toLowerCase()))
    .map((entry) => join(path, entry.name))
    .sort();
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error) => {
    throw unreadable(path, error);
  });
}

function unreadable(path: string, error: unknown): CliError {
  const code = (error as NodeJS.ErrnoException).code;
  const reason = code === 'ENOENT' ? 'no such file or folder' : String(code);
  return new CliError('input', `read ${path}: ${reason}`, { next: 'check the path', cause: error });
}

const PAGE_TIMEOUT_MS = 30_000;

async function readPage(url: string, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(PAGE_TIMEOUT_MS)]) });
    if (response.ok) return await response.text();
    throw new Error(`HTTP ${response.status}`);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new CliError('input', `read ${url}: ${(cause as Error).message}`, { next: 'check the URL', cause: error });
  }
}

/** Replaces `{{ key }}` by its value, for every key there is a value for; other placeholders stay as they are. */
export function fillPlaceholders(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{\s*([^{}\s]+)\s*\}\}/g, (whole, key: string) =>
    Object.hasOwn(values, key) ? values[key]! : whole,
  );
}

/**
 * The resources of one YAML or JSON text; empty documents are skipped. Throws `input` with every problem of every document:
 * not YAML (with line and column), no object, no `type`, no `name`, Kubernetes form.
 */
export async function parseDocuments(source: DocumentSource): Promise<readonly ResourceDocument[]> {
  const { LineCounter, parseAllDocuments } = await import('yaml');
  const lines = new LineCounter();
  const parsed = parseAllDocuments(source.text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const problems: FieldReason[] = [];
  const found: ResourceDocument[] = [];
  const many = Array.isArray(parsed) && parsed.length > 1;
  for (const [index, document] of (Array.isArray(parsed) ? parsed : []).entries()) {
    const where = many ? `${source.name}, document ${index + 1}` : source.name;
    for (const error of document.errors) {
      const { line, col } = lines.linePos(error.pos[0]);
      problems.push({
        field: where,
        reason: `not YAML at line ${line}, column ${col}: ${error.message}${unfilled(source.text)}`,
      });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const value: unknown = document.toJS();
    if (value === null) continue;
    const reason = problemOf(value);
    if (reason === undefined) found.push({ where, data: asJson(value) });
    else problems.push({ field: where, reason: reason + unfilled(source.text) });
  }
  if (problems.length > 0)
    throw new CliError('input', 'read resources', { fields: problems, next: 'nothing was applied' });
  return found;
}

function problemOf(value: unknown): string | undefined {
  const data = asJson(value);
  if (typeof value !== 'object' || Array.isArray(value)) return 'a resource must be an object';
  if (data['apiVersion'] !== undefined && data['kind'] !== undefined) {
    return 'this is the Kubernetes form: apply it with kubectl, or write it with type, mesh and name';
  }
  if (asText(data['type']) === '') return 'type: must be defined';
  if (asText(data['name']) === '') return 'name: must be defined';
  return undefined;
}

function unfilled(text: string): string {
  const key = /\{\{\s*([^{}\s.]+)\s*\}\}/.exec(text)?.[1];
  return key === undefined ? '' : ` ({{ ${key} }} has no value: give it with -v ${key}=...)`;
}
