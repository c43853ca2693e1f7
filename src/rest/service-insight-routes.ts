import type { ServiceInsightSpec, ServiceOverview } from '../resources/kinds/service-insight.ts';
import type { Resource } from '../resources/resource.ts';
import { LABEL_DISPLAY_NAME } from '../resources/well-known.ts';
import type { ResourceStore } from '../store/store.ts';
import { type ListRequest, listBody, PAGE_PARAMETERS, pageOf, parseListRequest } from './list-query.ts';
import { badRequest, inStage, notFound } from './problem.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, EVERYONE, json, type Route } from './route.ts';

const TAG = 'ServiceInsight';
const TYPES = ['internal', 'external', 'gateway_delegated', 'gateway_builtin'] as const;

/**
 * ServiceInsight is stored once per mesh and shown once per service.
 * Source: compatibility reference 2.4, 5; Kuma 2.11 `service-insights`.
 */
export function serviceInsightRoutes(store: ResourceStore): readonly Route[] {
  const query = [
    ...PAGE_PARAMETERS,
    {
      name: 'type',
      description: `Only these types of services, comma-separated: ${TYPES.join(', ')}.`,
      schema: { type: 'string' },
    },
  ];
  const item = { $ref: '#/components/schemas/ServiceInsight' };
  const list = { $ref: '#/components/schemas/ServiceInsightList' };
  return [
    {
      method: 'GET',
      path: '/meshes/{mesh}/service-insights',
      access: EVERYONE,
      document: { id: 'listServiceInsights', summary: 'Services of a mesh', tag: TAG, query, answer: list },
      handle: (call) => listServices(store, call, call.params['mesh']),
    },
    {
      method: 'GET',
      path: '/service-insights',
      access: EVERYONE,
      document: { id: 'listAllServiceInsights', summary: 'Services of all meshes', tag: TAG, query, answer: list },
      handle: (call) => listServices(store, call, undefined),
    },
    {
      method: 'GET',
      path: '/meshes/{mesh}/service-insights/{name}',
      access: EVERYONE,
      document: { id: 'getServiceInsight', summary: 'One service of a mesh', tag: TAG, answer: item },
      handle: (call) => getService(store, call),
    },
  ];
}

async function listServices(store: ResourceStore, call: Call, mesh: string | undefined): Promise<Answer> {
  const title = 'Could not retrieve resources';
  const request: ListRequest = parseListRequest(call.query, title);
  const types = parseTypes(call.query.get('type') ?? '');
  if (mesh !== undefined) await requireMesh(store, mesh);
  const { items: insights } = await inStage(title, () =>
    store.list({ type: 'ServiceInsight', ...(mesh === undefined ? {} : { mesh }) }),
  );
  const services = insights
    .flatMap((insight) => servicesOf(insight).map(([name, service]) => ({ insight, name, service })))
    .filter(({ name }) => name.includes(request.nameContains ?? ''))
    .filter(({ service }) => types.length === 0 || types.includes(service.serviceType ?? 'internal'))
    .sort((a, b) => compare(a.insight.meta.mesh, b.insight.meta.mesh) || compare(a.name, b.name));
  const page = pageOf(services, request, title);
  const shown = page.items.map(({ insight, name, service }) => serviceBody(insight, name, service));
  return json(listBody(call, shown, services.length, page.next));
}

async function getService(store: ResourceStore, call: Call): Promise<Answer> {
  const { mesh = '', name = '' } = call.params;
  await requireMesh(store, mesh);
  const title = 'Could not retrieve a resource';
  const { items } = await inStage(title, () => store.list({ type: 'ServiceInsight', mesh }));
  const insight = items[0];
  if (!insight) throw notFound(title);
  const service = servicesOf(insight).find(([service]) => service === name)?.[1] ?? {};
  return json(serviceBody(insight, name, service));
}

function servicesOf(insight: Resource): readonly [string, ServiceOverview][] {
  return Object.entries((insight as Resource<ServiceInsightSpec>).spec.services ?? {});
}

function serviceBody({ meta }: Resource, name: string, service: ServiceOverview) {
  const { online = 0, offline = 0 } = service.dataplanes ?? {};
  const labels = Object.fromEntries(Object.entries(meta.labels).filter(([label]) => label !== LABEL_DISPLAY_NAME));
  const internal = (service.serviceType ?? 'internal') === 'internal';
  return {
    type: 'ServiceInsight',
    mesh: meta.mesh,
    name,
    creationTime: meta.creationTime,
    modificationTime: meta.modificationTime,
    ...(Object.keys(labels).length > 0 ? { labels } : {}),
    ...service,
    dataplanes: { ...service.dataplanes, ...(online + offline > 0 ? { total: online + offline } : {}) },
    ...(internal ? { addressPort: `${name}.mesh:80` } : {}),
  };
}

function parseTypes(text: string): readonly string[] {
  const types = text === '' ? [] : text.split(',').map((type) => type.trim().toLowerCase());
  if (types.some((type) => !(TYPES as readonly string[]).includes(type))) {
    throw badRequest(`list services: unsupported service type, use ${TYPES.join(', ')}`);
  }
  return types;
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
