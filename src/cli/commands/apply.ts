import { answerError, asList, asText, type Json } from '../api/answers.ts';
import type { ApiClient } from '../api/client.ts';
import { fetchResourceTypes, pathOf, type ResourceType, typeNamed } from '../api/resource-types.ts';
import { flagOption, type Invocation, mapOption, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError } from '../errors.ts';
import { formatOf, yamlText } from '../output/print.ts';
import { fillPlaceholders, parseDocuments, type ResourceDocument, readDocuments } from './documents.ts';

/** `weft apply -f FILE|FOLDER|URL|-`. */
export async function run(invocation: Invocation): Promise<void> {
  const { io } = invocation;
  const values = mapOption(invocation, 'var');
  const sources = await readDocuments(textOption(invocation, 'file')!, io);
  const documents = (
    await Promise.all(
      sources.map((source) => parseDocuments({ ...source, text: fillPlaceholders(source.text, values) })),
    )
  ).flat();
  if (documents.length === 0)
    throw new CliError('input', 'apply: there is no resource in it', { next: 'check the file' });
  if (flagOption(invocation, 'dryRun')) return printDocuments(invocation, documents);

  const client = await openClient(invocation);
  const types = await fetchResourceTypes(client);
  const planned = documents.map((document) => ({
    document,
    type: typeNamed(asText(document.data['type']), types, document.where),
  }));
  const done: Applied[] = [];
  for (const { document, type } of planned) {
    if (io.interactive && planned.length > PROGRESS_FROM) io.stderr(`\rapply: ${done.length} of ${planned.length}`);
    const applied = await put(client, type, document, meshOf(invocation)).catch((error) => {
      throw withProgress(error, done.length, planned.length);
    });
    for (const warning of applied.warnings) io.stderr(`warning: ${type.name} ${applied.name}: ${warning}\n`);
    if (formatOf(invocation) === 'table') io.stdout(line(applied));
    done.push(applied);
  }
  if (formatOf(invocation) === 'json') io.stdout(`${JSON.stringify({ applied: done }, null, 2)}\n`);
  if (formatOf(invocation) === 'yaml') io.stdout(await yamlText({ applied: done }));
}

/** Fewer documents than this are done before a person reads the first line. */
const PROGRESS_FROM = 50;

interface Applied {
  readonly type: string;
  readonly mesh: string;
  readonly name: string;
  readonly action: 'Created' | 'Updated';
  readonly warnings: readonly string[];
}

function line({ type, mesh, name, action }: Applied): string {
  return `resource type=${JSON.stringify(type)} mesh=${JSON.stringify(mesh)} name=${JSON.stringify(name)} ${action}\n`;
}

async function put(
  client: ApiClient,
  type: ResourceType,
  { data }: ResourceDocument,
  fallbackMesh: string,
): Promise<Applied> {
  const name = asText(data['name']);
  const mesh = type.scope === 'Mesh' ? asText(data['mesh']) || fallbackMesh : '';
  const body = mesh === '' ? data : { ...data, mesh };
  const doing = `apply ${type.name} ${name}`;
  const response = await client.send({ method: 'PUT', path: pathOf(type, mesh, name), body, doing });
  if (response.status !== 200 && response.status !== 201) throw answerError(response, doing, client.url);
  const action = response.status === 201 ? 'Created' : 'Updated';
  return { type: type.name, mesh, name, action, warnings: warningsOf(response.text) };
}

function warningsOf(text: string): readonly string[] {
  if (text === '') return [];
  const { warnings } = JSON.parse(text) as Json;
  return Array.isArray(warnings) ? warnings.map(String) : asList(warnings).map(String);
}

function withProgress(error: unknown, done: number, total: number): unknown {
  if (!(error instanceof CliError) || total === 1) return error;
  const rest = `${done} of ${total} resources are applied; `;
  return new CliError(error.code, error.message, {
    fields: error.fields,
    next: `${rest}${error.next ?? 'correct it and apply again'}`,
    cause: error,
  });
}

async function printDocuments(invocation: Invocation, documents: readonly ResourceDocument[]): Promise<void> {
  if (formatOf(invocation) === 'json') {
    const items = documents.map(({ data }) => data);
    invocation.io.stdout(`${JSON.stringify(items.length === 1 ? items[0] : { items }, null, 2)}\n`);
    return;
  }
  const texts = await Promise.all(documents.map(({ data }) => yamlText(data)));
  invocation.io.stdout(texts.join('---\n'));
}
