import { asJson, asList, asText, findJson, type Json } from '../api/answers.ts';
import { fetchList, type ResourceList } from '../api/lists.ts';
import { fetchResourceTypes, pathOf, type ResourceType, resolveType } from '../api/resource-types.ts';
import { flagOption, type Invocation, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { agoText, tagsText } from '../output/cells.ts';
import { print } from '../output/print.ts';

/** `weft get [TYPE [NAME]]`. */
export async function run(invocation: Invocation): Promise<void> {
  const [word, name] = invocation.args;
  const client = await openClient(invocation);
  const types = await fetchResourceTypes(client);
  if (flagOption(invocation, 'listTypes')) return printTypes(invocation, types);
  if (word === undefined)
    throw usageError('get: a resource type is missing', 'see the types with `weft get --list-types`');
  const type = resolveType(word, types);
  const columns = COLUMNS[type.name] ?? (type.scope === 'Mesh' ? MESH_SCOPED : GLOBAL);
  const row = (item: Json) => columns.map(([, cell]) => cell(item, invocation.io.now()));
  const headers = columns.map(([header]) => header);
  if (name !== undefined) {
    const request = {
      method: 'GET',
      path: pathOf(type, meshOf(invocation), name),
      doing: `get ${type.name} ${name}`,
    } as const;
    const item = await findJson(client, request);
    if (item === undefined) throw missing(type, name, meshOf(invocation));
    return print(invocation, item, () => ({ headers, rows: [row(item)] }));
  }
  const mesh = flagOption(invocation, 'allMeshes') ? undefined : meshOf(invocation);
  const size = textOption(invocation, 'size');
  const offset = textOption(invocation, 'offset');
  const list = await fetchList(
    client,
    {
      path: pathOf(type, mesh),
      doing: `get ${type.plural || type.path}`,
      ...(size === undefined ? {} : { size }),
      ...(offset === undefined ? {} : { offset }),
    },
    invocation.io,
  );
  await print(invocation, listData(list), () => ({ headers, rows: list.items.map(row), ...pageFooter(list) }));
}

/** What `-o yaml|json` shows of a list. */
export function listData(list: ResourceList) {
  return { total: list.total, items: list.items, next: list.nextOffset ?? null };
}

/** The line that tells how to see the next page. */
export function pageFooter(list: ResourceList): { footer?: string } {
  if (list.nextOffset === undefined) return {};
  return { footer: `Rerun command with --offset=${list.nextOffset} argument to retrieve more resources` };
}

/** There is none of this name. The mesh that was looked in is named, since a wrong one is the usual reason. */
export function missing(type: ResourceType, name: string, mesh: string): CliError {
  const where = type.scope === 'Mesh' ? ` in mesh "${mesh}"` : '';
  const other = type.scope === 'Mesh' ? ', or choose another mesh with --mesh' : '';
  return new CliError('not-found', `there is no ${type.name} with name "${name}"${where}`, {
    next: `see what there is with \`weft get ${type.path}\`${other}`,
  });
}

function printTypes(invocation: Invocation, types: readonly ResourceType[]): Promise<void> {
  return print(invocation, types, () => ({
    headers: ['TYPE', 'PATH', 'SCOPE', 'READ ONLY'],
    rows: types.map((type) => [type.name, type.path, type.scope, String(type.readOnly)]),
  }));
}

type Column = readonly [header: string, cell: (item: Json, now: number) => string];

const MESH: Column = ['MESH', (item) => asText(item['mesh'])];
const NAME: Column = ['NAME', (item) => asText(item['name'])];
const AGE: Column = ['AGE', (item, now) => agoText(item['modificationTime'], now)];
const GLOBAL: readonly Column[] = [NAME, AGE];
const MESH_SCOPED: readonly Column[] = [MESH, NAME, AGE];

const networking = (item: Json) => asJson(item['networking']);

/** Types with columns of their own. Source: compatibility reference 10. */
const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Mesh: [
    NAME,
    ['mTLS', mtlsText],
    ['LOCALITY', (item) => (asJson(item['routing'])['localityAwareLoadBalancing'] === true ? 'on' : 'off')],
    ['ZONEEGRESS', (item) => (asJson(item['routing'])['zoneEgress'] === true ? 'on' : 'off')],
    AGE,
  ],
  Dataplane: [
    MESH,
    NAME,
    ['TAGS', (item) => tagsText(dataplaneTags(item))],
    ['ADDRESS', (item) => asText(networking(item)['advertisedAddress']) || asText(networking(item)['address'])],
    AGE,
  ],
  ExternalService: [
    MESH,
    NAME,
    ['TAGS', (item) => tagsText([asJson(item['tags'])])],
    ['ADDRESS', (item) => asText(networking(item)['address'])],
    AGE,
  ],
};

/** Tags of a gateway, or of every inbound. */
export function dataplaneTags(dataplane: Json): readonly Json[] {
  const { inbound, gateway } = networking(dataplane);
  return [asJson(asJson(gateway)['tags']), ...asList(inbound).map((one) => asJson(one['tags']))];
}

function mtlsText(mesh: Json): string {
  const mtls = asJson(mesh['mtls']);
  const backend = asList(mtls['backends']).find((one) => one['name'] === mtls['enabledBackend']);
  return backend === undefined ? 'off' : `${asText(backend['type'])}/${asText(backend['name'])}`;
}
