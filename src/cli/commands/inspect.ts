import { nearest } from '../../lib/nearest.ts';
import { asText } from '../api/answers.ts';
import { fetchList } from '../api/lists.ts';
import { fetchResourceTypes, pathOf, resolveType } from '../api/resource-types.ts';
import { flagOption, type Invocation, mapOption, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { usageError } from '../errors.ts';
import { print } from '../output/print.ts';
import { listData, pageFooter } from './get.ts';
import { inspectMesh } from './inspect-mesh.ts';
import { OVERVIEWS } from './inspect-overviews.ts';
import { inspectProxy, PROXIES } from './inspect-proxy.ts';

/** `weft inspect WHAT [NAME]`. */
export async function run(invocation: Invocation): Promise<void> {
  const [word = '', name] = invocation.args;
  const what = word.toLowerCase().replace(/[-_]/g, '');
  const isList = Object.hasOwn(OVERVIEWS, what);
  if (!isList && name === undefined) throw missingName(word, what);
  if (what !== 'dataplanes') refuseFilters(invocation);
  if (isList) return inspectList(invocation, what, name);
  if (what === 'mesh') return inspectMesh(invocation, name!);
  if (Object.hasOwn(PROXIES, what)) return inspectProxy(invocation, what, name!);
  if (textOption(invocation, 'type') !== undefined)
    throw usageError('--type is there for one proxy only', 'leave it out');
  return inspectPolicy(invocation, word, name!);
}

function missingName(word: string, what: string) {
  const near = nearest(what, [...Object.keys(OVERVIEWS), ...Object.keys(PROXIES)]);
  const known = what === 'mesh' || Object.hasOwn(PROXIES, what) || near === undefined;
  return usageError(
    `inspect ${word}: a name is missing`,
    known ? `call it as \`weft inspect ${word} NAME\`` : `did you mean ${near}?`,
  );
}

function refuseFilters(invocation: Invocation): void {
  for (const [option, flag] of [
    ['tag', '--tag'],
    ['gateway', '--gateway'],
    ['ingress', '--ingress'],
  ] as const) {
    if (invocation.options[option] !== undefined)
      throw usageError(`${flag} can be used with dataplanes only`, 'leave it out');
  }
}

async function inspectList(invocation: Invocation, what: string, name: string | undefined): Promise<void> {
  const view = OVERVIEWS[what]!;
  if (name !== undefined) throw usageError(`inspect ${what}: takes no name`, 'leave it out');
  const client = await openClient(invocation);
  const path = view.inMesh ? ['meshes', meshOf(invocation), ...view.path] : view.path;
  const list = await fetchList(client, { path, query: filtersOf(invocation), doing: `inspect ${what}` }, invocation.io);
  const { complete } = view;
  const items =
    complete === undefined ? list.items : await Promise.all(list.items.map((item) => complete(client, item)));
  const now = invocation.io.now();
  await print(invocation, listData({ ...list, items }), () => ({
    headers: view.headers,
    rows: items.map((item) => view.row(item, now)),
  }));
}

function filtersOf(invocation: Invocation): Readonly<Record<string, string | undefined>> {
  const tags = Object.entries(mapOption(invocation, 'tag')).map(([tag, value]) => `${tag}:${value}`);
  return {
    tag: tags.length > 0 ? tags.join(',') : undefined,
    gateway: flagOption(invocation, 'gateway') ? 'true' : undefined,
    ingress: flagOption(invocation, 'ingress') ? 'true' : undefined,
  };
}

/** The proxies that a policy reaches. */
async function inspectPolicy(invocation: Invocation, word: string, name: string): Promise<void> {
  const client = await openClient(invocation);
  const type = resolveType(word, await fetchResourceTypes(client));
  if (type.targetRefPolicy === undefined) {
    throw usageError(
      `inspect ${word}: ${type.name} is not a policy`,
      'inspect takes meshes, dataplanes, services, zones or a policy type',
    );
  }
  const offset = textOption(invocation, 'offset');
  const path = [...pathOf(type, meshOf(invocation), name), '_resources', 'dataplanes'];
  const list = await fetchList(
    client,
    { path, doing: `inspect ${type.name} ${name}`, ...(offset === undefined ? {} : { offset }) },
    invocation.io,
  );
  await print(invocation, listData(list), () => ({
    headers: ['TYPE', 'MESH', 'NAME'],
    rows: list.items.map((item) => [asText(item['type']), asText(item['mesh']), asText(item['name'])]),
    footer: `Total: ${list.total}`,
    ...pageFooter(list),
  }));
}
