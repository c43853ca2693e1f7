import { asList, asText, fetchJson } from '../api/answers.ts';
import type { ApiClient } from '../api/client.ts';
import { fetchList } from '../api/lists.ts';
import { fetchResourceTypes, pathOf, type ResourceType, resolveType } from '../api/resource-types.ts';
import type { CommandSpec, Invocation, OptionSpec, OptionValues } from '../command.ts';
import { COMMANDS, GLOBAL_OPTIONS } from '../commands.ts';
import { openClient } from '../contexts.ts';
import { EXIT } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { OVERVIEWS } from './inspect-overviews.ts';
import { PROXIES } from './inspect-proxy.ts';

/** `weft __complete WORDS...`: candidates for the last word, one a line. A question that can't be answered has no candidates. */
export async function complete(words: readonly string[], io: CliIo): Promise<number> {
  const found = await candidates(words, io);
  const last = words.at(-1) ?? '';
  io.stdout(
    found
      .filter((one) => one.startsWith(last))
      .map((one) => `${one}\n`)
      .join(''),
  );
  return EXIT.ok;
}

async function candidates(words: readonly string[], io: CliIo): Promise<readonly string[]> {
  const last = words.at(-1) ?? '';
  const { plain, pending } = withoutOptions(words.slice(0, -1));
  const spec = COMMANDS.find((one) => plain.join(' ') === one.path || plain.join(' ').startsWith(`${one.path} `));
  if (spec === undefined) return nextWords(plain);
  if (pending !== undefined) return [...(optionNamed(spec, pending)?.choices ?? [])];
  if (last.startsWith('-'))
    return [...(spec.options ?? []), ...GLOBAL_OPTIONS].filter((one) => one.hidden !== true).map(longName);
  return argumentsOf(spec, plain.slice(spec.path.split(' ').length), meshIn(words), io);
}

/** Command words that can follow. */
function nextWords(plain: readonly string[]): readonly string[] {
  const start = plain.length === 0 ? '' : `${plain.join(' ')} `;
  return [
    ...new Set(
      COMMANDS.filter((one) => one.path.startsWith(start)).map((one) => one.path.slice(start.length).split(' ')[0]!),
    ),
  ];
}

const longName = (spec: OptionSpec) => /--[a-z-]+/.exec(spec.flags)?.[0] ?? '';
const takesValue = (spec: OptionSpec) => spec.flags.includes('<');

/** All options there are, by each of their names. */
function optionNamed(spec: CommandSpec | undefined, word: string): OptionSpec | undefined {
  const all = [...(spec?.options ?? COMMANDS.flatMap((one) => one.options ?? [])), ...GLOBAL_OPTIONS];
  return all.find((one) => one.flags.split(/[ ,]+/).includes(word));
}

/** The words that are neither options nor their values; `pending` is an option still waiting for its value. */
function withoutOptions(words: readonly string[]): { plain: readonly string[]; pending: string | undefined } {
  const plain: string[] = [];
  let pending: string | undefined;
  for (const word of words) {
    if (pending !== undefined) pending = undefined;
    else if (!word.startsWith('-')) plain.push(word);
    else if (!word.includes('=') && takesValue(optionNamed(undefined, word) ?? { flags: '', description: '' }))
      pending = word;
  }
  return { plain, pending };
}

function meshIn(words: readonly string[]): string {
  const at = words.findIndex((word) => word === '-m' || word === '--mesh');
  return (at < 0 ? undefined : words[at + 1]) ?? 'default';
}

async function argumentsOf(
  spec: CommandSpec,
  given: readonly string[],
  mesh: string,
  io: CliIo,
): Promise<readonly string[]> {
  if (spec.path === 'ca test') return given.length > 0 ? [] : backendNames(mesh, io);
  if (spec.path.startsWith('certs '))
    return spec.arguments === undefined || given.length > 0 ? [] : proxyNames(mesh, io);
  if (!['get', 'delete', 'inspect'].includes(spec.path) || given.length > 1) return [];
  const views = spec.path === 'inspect' ? [...Object.keys(OVERVIEWS), ...Object.keys(PROXIES)] : [];
  try {
    const client = await quickClient(io);
    const types = await fetchResourceTypes(client);
    if (given[0] !== undefined) return await namesOf(client, resolveType(given[0], types), mesh, io);
    const offered = spec.path === 'inspect' ? types.filter((type) => type.targetRefPolicy !== undefined) : types;
    return [...views, ...offered.map((type) => type.path)];
  } catch {
    // No control plane, no live names: a completion must never disturb the line that is being typed.
    return given.length === 0 ? views : [];
  }
}

function quickClient(io: CliIo): Promise<ApiClient> {
  const invocation: Invocation = { args: [], options: { apiTimeout: '2s' } satisfies OptionValues, io };
  return openClient(invocation);
}

async function backendNames(mesh: string, io: CliIo): Promise<readonly string[]> {
  try {
    const state = await fetchJson(await quickClient(io), {
      method: 'GET',
      path: ['meshes', mesh, '_mtls'],
      doing: 'complete',
    });
    return asList(state['backends']).map((one) => asText(one['name']));
  } catch {
    return [];
  }
}

async function proxyNames(mesh: string, io: CliIo): Promise<readonly string[]> {
  try {
    const client = await quickClient(io);
    const types = await fetchResourceTypes(client);
    return await namesOf(client, resolveType('dataplanes', types), mesh, io);
  } catch {
    return [];
  }
}

async function namesOf(client: ApiClient, type: ResourceType, mesh: string, io: CliIo): Promise<readonly string[]> {
  const list = await fetchList(
    client,
    { path: pathOf(type, mesh), doing: 'complete', size: '500' },
    { ...io, interactive: false },
  );
  return list.items.map((item) => asText(item['name']));
}
