import { toKubernetes, toUniversal } from '../resources/convert.ts';
import type { Kind } from '../resources/kind.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { Resource, ResourceKey } from '../resources/resource.ts';
import { specJson } from '../resources/spec-parse.ts';
import type { ListQuery, ResourceStore } from '../store/store.ts';
import { matchesDataplaneFilter, parseDataplaneFilter } from './dataplane-filter.ts';
import { acrossMeshesPaths, collectionPaths, kindAccess, type OverviewTraits, overviewTraits } from './kind-traits.ts';
import { listBody, PAGE_PARAMETERS, parseListRequest } from './list-query.ts';
import { overviewBody } from './overview.ts';
import { inStage, notFound, Problem } from './problem.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, json, type QueryParameter, type Route } from './route.ts';

const GET_TITLE = 'Could not retrieve a resource';
const LIST_TITLE = 'Could not retrieve resources';

export interface ReadSources {
  readonly store: ResourceStore;
  /** Namespace that objects without one get in Kubernetes form. */
  readonly systemNamespace: string;
  /** `undefined` for a kind this program does not have; overviews then do without its insight. */
  readonly kindOf: (type: string) => Kind | undefined;
}

/** `GET` of one, of a list, and of overviews, for one kind. Source: compatibility reference 5. */
export function readRoutes(sources: ReadSources, kind: Kind): readonly Route[] {
  const lists = [...collectionPaths(kind), ...acrossMeshesPaths(kind)];
  const overview = overviewTraits(kind);
  return [
    ...lists.map((path, index) => listRoute(sources, kind, path, index)),
    ...collectionPaths(kind).map((path, index) => getRoute(sources, kind, path, index)),
    ...(overview ? overviewRoutes(sources, kind, overview) : []),
  ];
}

const FORMAT: readonly QueryParameter[] = [
  {
    name: 'format',
    description: 'Form of the resource.',
    schema: { type: 'string', enum: ['universal', 'k8s', 'kubernetes'] },
  },
  { name: 'namespace', description: 'Namespace of the Kubernetes form.', schema: { type: 'string' } },
];

function listParameters(kind: Kind): readonly QueryParameter[] {
  if (kind.type !== 'Dataplane') return PAGE_PARAMETERS;
  return [
    ...PAGE_PARAMETERS,
    { name: 'tag', description: '`key:value`; repeat for more.', schema: { type: 'array', items: { type: 'string' } } },
    {
      name: 'gateway',
      description: 'Only gateways, only others, or one type of gateway.',
      schema: { type: 'string', enum: ['true', 'false', 'builtin', 'delegated'] },
    },
  ];
}

function listRoute(sources: ReadSources, kind: Kind, path: string, index: number): Route {
  return {
    method: 'GET',
    path,
    access: kindAccess(kind),
    document: {
      id: `list${kind.type}${index === 0 ? '' : index + 1}`,
      summary: `List ${kind.pluralDisplayName}${path.includes('{mesh}') || kind.scope === 'Global' ? '' : ' of all meshes'}`,
      tag: kind.type,
      query: listParameters(kind),
      answer: { $ref: `#/components/schemas/${kind.type}List` },
    },
    handle: async (call) => {
      const { items, total, next } = await listPage(sources, kind, call);
      return json(
        listBody(
          call,
          items.map((item) => toUniversal(kind, item)),
          total,
          next,
        ),
      );
    },
  };
}

/** One page of the mesh in the path, or of all meshes when the path has none. */
async function listPage({ store }: ReadSources, kind: Kind, call: Call) {
  const request = parseListRequest(call.query, LIST_TITLE);
  const where = listFilter(kind, call);
  const { mesh } = call.params;
  if (mesh !== undefined) await requireMesh(store, mesh);
  const query: ListQuery = {
    type: kind.type,
    ...(mesh === undefined ? {} : { mesh }),
    ...request,
    ...(where ? { where } : {}),
  };
  return inStage(LIST_TITLE, () => store.list(query));
}

function listFilter(kind: Kind, call: Call): ((resource: Resource) => boolean) | undefined {
  if (kind.type !== 'Dataplane') return undefined;
  const filter = parseDataplaneFilter(call.query);
  if ('invalid' in filter) {
    const message = `use \`true\`, \`false\`, \`builtin\` or \`delegated\` instead of ${filter.invalid}`;
    throw new Problem(400, LIST_TITLE, 'Resource is not valid', { violations: [{ field: 'gateway', message }] });
  }
  if (filter.tags.length === 0 && filter.gateway === undefined) return undefined;
  return (resource) => matchesDataplaneFilter(filter, resource.spec as DataplaneSpec);
}

function getRoute(sources: ReadSources, kind: Kind, path: string, index: number): Route {
  return {
    method: 'GET',
    path: `${path}/{name}`,
    access: kindAccess(kind),
    document: {
      id: `get${kind.type}${index === 0 ? '' : index + 1}`,
      summary: `Get one ${kind.singularDisplayName}`,
      tag: kind.type,
      query: FORMAT,
      answer: { $ref: `#/components/schemas/${kind.type}` },
      statuses: { 404: 'There is none of this name' },
    },
    handle: async (call) => {
      const resource = await getOne(sources, kind, call);
      const { query } = call;
      return json(printAs(sources, kind, resource, query.get('format') ?? '', query.get('namespace') ?? ''));
    },
  };
}

function printAs(
  { systemNamespace }: ReadSources,
  kind: Kind,
  resource: Resource,
  format: string,
  namespace: string,
): unknown {
  switch (format) {
    case '':
    case 'universal':
      return toUniversal(kind, resource);
    case 'k8s':
    case 'kubernetes':
      return toKubernetes(kind, resource, { systemNamespace, ...(namespace === '' ? {} : { namespace }) });
    default:
      throw new Problem(400, GET_TITLE, 'Resource is not valid', {
        violations: [{ field: 'format', message: '"format" must be one of ["k8s", "kubernetes", "universal"]' }],
      });
  }
}

/** The resource that the path names. Throws a 404 for it or its mesh. */
async function getOne({ store }: ReadSources, kind: Kind, call: Call): Promise<Resource> {
  const { mesh = '', name = '' } = call.params;
  if (kind.scope === 'Mesh') await requireMesh(store, mesh);
  const resource = await inStage(GET_TITLE, () => store.get({ type: kind.type, mesh, name }));
  if (!resource) throw notFound(GET_TITLE);
  return resource;
}

function overviewRoutes(sources: ReadSources, kind: Kind, traits: OverviewTraits): readonly Route[] {
  const canonical = collectionPaths(kind)[0]!;
  const legacy = canonical.slice(0, -kind.path.length) + traits.legacyPath;
  const list = (path: string, id: string): Route => ({
    method: 'GET',
    path,
    access: kindAccess(kind),
    document: {
      id,
      summary: `List ${kind.pluralDisplayName} with insights`,
      tag: kind.type,
      query: listParameters(kind),
    },
    handle: (call) => listOverviews(sources, kind, traits, call),
  });
  const one = (path: string, id: string): Route => ({
    method: 'GET',
    path,
    access: kindAccess(kind),
    document: { id, summary: `Get one ${kind.singularDisplayName} with its insight`, tag: kind.type },
    handle: (call) => getOverview(sources, kind, traits, call),
  });
  const acrossMeshes = acrossMeshesPaths(kind)[0];
  return [
    list(`${canonical}/_overview`, `list${traits.overviewType}`),
    list(legacy, `list${traits.overviewType}Legacy`),
    ...(acrossMeshes
      ? [
          list(`${acrossMeshes}/_overview`, `listAll${traits.overviewType}`),
          list(`/${traits.legacyPath}`, `listAll${traits.overviewType}Legacy`),
        ]
      : []),
    one(`${canonical}/{name}/_overview`, `get${traits.overviewType}`),
    one(`${legacy}/{name}`, `get${traits.overviewType}Legacy`),
  ];
}

async function listOverviews(sources: ReadSources, kind: Kind, traits: OverviewTraits, call: Call): Promise<Answer> {
  const { items, total, next } = await listPage(sources, kind, call);
  const insights = await inStage(LIST_TITLE, () => insightsOf(sources, traits, items, call.params['mesh']));
  const bodies = items.map((item) => {
    const insight = insights.get(`${item.meta.mesh}/${item.meta.name}`);
    return overviewBody(traits, item, specJson(kind, item.spec), insight && insightJson(sources, traits, insight));
  });
  return json(listBody(call, bodies, total, next));
}

/** A page of a few asks for each insight, a large one reads the collection once. */
const MANY = 20;

async function insightsOf(
  { store, kindOf }: ReadSources,
  traits: OverviewTraits,
  items: readonly Resource[],
  mesh: string | undefined,
): Promise<ReadonlyMap<string, Resource>> {
  const type = traits.insightType;
  if (!kindOf(type) || items.length === 0) return new Map();
  const keyOf = ({ meta }: Resource): ResourceKey => ({ type, mesh: meta.mesh, name: meta.name });
  const found =
    items.length > MANY
      ? (await store.list({ type, ...(mesh === undefined ? {} : { mesh }) })).items
      : (await Promise.all(items.map((item) => store.get(keyOf(item))))).filter((insight) => insight !== undefined);
  return new Map(found.map((insight) => [`${insight.meta.mesh}/${insight.meta.name}`, insight]));
}

async function getOverview(sources: ReadSources, kind: Kind, traits: OverviewTraits, call: Call): Promise<Answer> {
  const resource = await getOne(sources, kind, call);
  const insights = await inStage('Could not retrieve insights', () =>
    insightsOf(sources, traits, [resource], resource.meta.mesh),
  );
  const [insight] = insights.values();
  return json(
    overviewBody(traits, resource, specJson(kind, resource.spec), insight ? insightJson(sources, traits, insight) : {}),
  );
}

function insightJson(sources: ReadSources, traits: OverviewTraits, insight: Resource): object {
  const kind = sources.kindOf(traits.insightType);
  return kind ? specJson(kind, insight.spec) : {};
}
