import jsonPatch from 'fast-json-patch';
import type { ResourceStore } from '../store/store.ts';
import { redactConfigDump } from './config-dump.ts';
import type { InspectSource } from './inspect-source.ts';
import { badRequest, inStage, notFound, Problem } from './problem.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, EVERYONE, json, type Route } from './route.ts';
import { xdsJson } from './xds-json.ts';

const TAG = 'Inspect';
const PATH = '/meshes/{mesh}/dataplanes/{name}';
const ADMIN_TITLE = 'Could not execute admin operation';

/** Configuration of one proxy: as generated (`_config`), and as its Envoy has it (`xds`, `stats`, `clusters`). Source: compatibility reference 5.2. */
export function inspectProxyRoutes(store: ResourceStore, inspect: InspectSource): readonly Route[] {
  const format = { name: 'format', description: '`json` for JSON instead of text.', schema: { type: 'string' } };
  return [
    {
      method: 'GET',
      path: `${PATH}/xds`,
      access: { rule: 'viewConfigDump', what: 'the config dump' },
      document: {
        id: 'getDataplaneConfigDump',
        summary: 'Configuration dump of the running Envoy',
        tag: TAG,
        query: [{ name: 'include_eds', description: 'With endpoints.', schema: { type: 'boolean' } }],
      },
      handle: (call) =>
        askEnvoy(
          store,
          inspect,
          call,
          isTrue(call.query.get('include_eds')) ? '/config_dump?include_eds' : '/config_dump',
          true,
          redactConfigDump,
        ),
    },
    {
      method: 'GET',
      path: `${PATH}/stats`,
      access: { rule: 'viewStats', what: 'the stats' },
      document: {
        id: 'getDataplaneStats',
        summary: 'Statistics of the running Envoy',
        tag: TAG,
        query: [
          format,
          { name: 'usedonly', description: 'Only what was touched; default true.', schema: { type: 'boolean' } },
        ],
        answerType: 'text/plain',
      },
      handle: (call) => {
        const usedOnly = !isFalse(call.query.get('usedonly'));
        const parts = [...(wantsJson(call) ? ['format=json'] : []), ...(usedOnly ? ['usedonly'] : [])];
        return askEnvoy(
          store,
          inspect,
          call,
          `/stats${parts.length > 0 ? `?${parts.join('&')}` : ''}`,
          wantsJson(call),
        );
      },
    },
    {
      method: 'GET',
      path: `${PATH}/clusters`,
      access: { rule: 'viewClusters', what: 'the clusters' },
      document: {
        id: 'getDataplaneClusters',
        summary: 'Clusters of the running Envoy',
        tag: TAG,
        query: [format],
        answerType: 'text/plain',
      },
      handle: (call) =>
        askEnvoy(store, inspect, call, `/clusters${wantsJson(call) ? '?format=json' : ''}`, wantsJson(call)),
    },
    {
      method: 'GET',
      path: `${PATH}/_config`,
      access: EVERYONE,
      document: {
        id: 'getDataplaneConfig',
        summary: 'Configuration as the control plane generates it',
        tag: TAG,
        query: [
          {
            name: 'shadow',
            description: 'With policies that have the label `kuma.io/effect: shadow`.',
            schema: { type: 'boolean' },
          },
          {
            name: 'include',
            description: '`diff` adds a JSON Patch from the current configuration.',
            schema: { type: 'string' },
          },
        ],
      },
      handle: (call) => generatedConfig(store, inspect, call),
    },
  ];
}

async function askEnvoy(
  store: ResourceStore,
  inspect: InspectSource,
  call: Call,
  path: string,
  asJson: boolean,
  redact?: (content: string) => string,
): Promise<Answer> {
  const { mesh = '', name = '' } = call.params;
  const title = 'Could not get dataplane resource';
  const dataplane = await inStage(title, () => store.get({ type: 'Dataplane', mesh, name }));
  if (!dataplane) throw notFound(title);
  let answer: Awaited<ReturnType<InspectSource['admin']>>;
  try {
    answer = await inspect.admin(mesh, name, path);
  } catch (error) {
    throw new Problem(503, ADMIN_TITLE, error instanceof Error ? error.message : 'Envoy can not be reached', {
      cause: error,
    });
  }
  if (answer.status !== 200) throw new Problem(503, ADMIN_TITLE, `Envoy answered with status ${answer.status}`);
  return {
    contentType: asJson ? 'application/json' : 'text/plain',
    content: redact ? redact(answer.body.toString('utf8')) : answer.body,
  };
}

async function generatedConfig(store: ResourceStore, inspect: InspectSource, call: Call): Promise<Answer> {
  const { mesh = '', name = '' } = call.params;
  const shadow = parseFlag(call.query.get('shadow'));
  const withDiff = parseInclude(call.query.get('include'));
  await requireMesh(store, mesh);
  const generate = async (withShadow: boolean) => {
    const set = await inspectedConfig(inspect, mesh, name, withShadow);
    return xdsJson(set);
  };
  const xds = await generate(shadow);
  if (!withDiff) return json({ xds });
  const current = shadow ? await generate(false) : xds;
  return json({ xds, diff: jsonPatch.compare(current, xds) });
}

async function inspectedConfig(inspect: InspectSource, mesh: string, name: string, shadow: boolean) {
  const title = 'Failed to inspect proxy config';
  try {
    const set = await inspect.config(mesh, name, { shadow });
    if (set) return set;
  } catch (error) {
    // What the source says is for the user: one bad resource must not hide behind "internal error".
    throw new Problem(500, title, error instanceof Error ? error.message : 'Internal Server Error', { cause: error });
  }
  throw notFound(title);
}

function parseFlag(text: string | null): boolean {
  if (text === null || text === '') return false;
  if (isTrue(text)) return true;
  if (isFalse(text)) return false;
  throw badRequest("unsupported value for query parameter 'shadow'");
}

function parseInclude(text: string | null): boolean {
  if (text === null || text === '') return false;
  if (text.split(',').every((word) => word === 'diff')) return true;
  throw badRequest("unsupported value for query parameter 'include'");
}

/** Source: Go `strconv.ParseBool`. */
const isTrue = (text: string | null) => text !== null && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text);
const isFalse = (text: string | null) => text !== null && ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text);
const wantsJson = (call: Call) => call.query.get('format') === 'json';
