/** Certificates of proxies: `_certificates` of a mesh, `_certificate` of a Dataplane. Our own; Kuma shows them in insights only. */
import type { CertificateView } from '../identity/certificate-view.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';
import {
  CERTIFICATE_FILTERS,
  type CertificateFilter,
  isFiltering,
  matchesCertificate,
  parseCertificateFilter,
} from './certificate-filter.ts';
import {
  certificateDetailSchema,
  certificateJson,
  certificateSchema,
  issuedJson,
  jsonSchemaOf,
} from './certificate-json.ts';
import type { CertificateSource } from './certificate-source.ts';
import { listBody, PAGE_PARAMETERS, parseListRequest } from './list-query.ts';
import { inStage, notFound } from './problem.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, EVERYONE, json, type Route } from './route.ts';

const TAG = 'Certificates';
const LIST_TITLE = 'Could not retrieve certificates';
const GET_TITLE = 'Could not retrieve a certificate';
/** A page of a few asks for each insight, a large one reads those of the mesh once. */
const MANY = 20;

export interface CertificateSources {
  readonly store: ResourceStore;
  readonly certificates: CertificateSource;
  readonly now: () => number;
}

export function certificateRoutes(sources: CertificateSources): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/meshes/{mesh}/_certificates',
      access: EVERYONE,
      document: {
        id: 'listCertificates',
        summary: 'Certificates of the proxies of a mesh',
        tag: TAG,
        query: [...PAGE_PARAMETERS, ...CERTIFICATE_FILTERS],
        answer: {
          type: 'object',
          required: ['total', 'items', 'next'],
          properties: {
            total: { type: 'integer' },
            items: { type: 'array', items: jsonSchemaOf(certificateSchema) },
            next: { type: ['string', 'null'] },
          },
        },
      },
      handle: (call) => list(sources, call),
    },
    {
      method: 'GET',
      path: '/meshes/{mesh}/dataplanes/{name}/_certificate',
      access: EVERYONE,
      document: {
        id: 'getCertificate',
        summary: 'Certificate of one proxy, with its chain and the ones before it',
        tag: TAG,
        answer: jsonSchemaOf(certificateDetailSchema),
        statuses: { 404: 'There is no such Dataplane' },
      },
      handle: (call) => detail(sources, call),
    },
  ];
}

async function list(sources: CertificateSources, call: Call): Promise<Answer> {
  const { store, now } = sources;
  const request = parseListRequest(call.query, LIST_TITLE);
  const filter = parseCertificateFilter(call.query, LIST_TITLE);
  const mesh = await requireMesh(store, call.params['mesh']!);
  return inStage(LIST_TITLE, async () => {
    const seen = await viewer(sources, mesh, isFiltering(filter) || request.size > MANY);
    const page = await store.list({
      type: 'Dataplane',
      mesh: mesh.meta.name,
      ...request,
      ...whereOf(filter, seen, now()),
    });
    const views = await Promise.all(page.items.map((item) => seen.load(item as Resource<DataplaneSpec>)));
    const items = views.map((view) => certificateJson(view, now()));
    return json(listBody(call, items, page.total, page.next));
  });
}

interface Viewer {
  /** With the insights at hand. */
  readonly view: (dataplane: Resource<DataplaneSpec>) => CertificateView;
  /** Asks for the insight when it is not. */
  readonly load: (dataplane: Resource<DataplaneSpec>) => Promise<CertificateView>;
}

function whereOf(
  filter: CertificateFilter,
  { view }: Viewer,
  now: number,
): { where?: (resource: Resource) => boolean } {
  if (!isFiltering(filter)) return {};
  return { where: (resource) => matchesCertificate(filter, view(resource as Resource<DataplaneSpec>), now) };
}

async function viewer(sources: CertificateSources, mesh: Resource<MeshSpec>, allInsights: boolean): Promise<Viewer> {
  const { store, certificates } = sources;
  const type = 'DataplaneInsight';
  const { name } = mesh.meta;
  const found = allInsights ? (await store.list({ type, mesh: name })).items : [];
  const insights = new Map(found.map(({ meta, spec }) => [meta.name, spec as DataplaneInsightSpec]));
  const view = (dataplane: Resource<DataplaneSpec>) =>
    certificates.view(mesh, dataplane, insights.get(dataplane.meta.name));
  return {
    view,
    async load(dataplane) {
      if (allInsights) return view(dataplane);
      const insight = await store.get({ type, mesh: name, name: dataplane.meta.name });
      return certificates.view(mesh, dataplane, insight?.spec as DataplaneInsightSpec | undefined);
    },
  };
}

async function detail(sources: CertificateSources, call: Call): Promise<Answer> {
  const { store, certificates, now } = sources;
  const mesh = await requireMesh(store, call.params['mesh']!);
  const proxy = { mesh: mesh.meta.name, name: call.params['name']! };
  const dataplane = await inStage(GET_TITLE, () => store.get({ type: 'Dataplane', ...proxy }));
  if (dataplane === undefined) throw notFound(GET_TITLE);
  const { load } = await viewer(sources, mesh, false);
  const view = await inStage(GET_TITLE, () => load(dataplane as Resource<DataplaneSpec>));
  const chainPem = view.state === 'none' ? undefined : certificates.chainPem(proxy);
  return json({
    ...certificateJson(view, now()),
    expectedUriSans: view.expectedUriSans,
    ...(chainPem === undefined ? {} : { chainPem }),
    history: certificates.history(proxy).map(issuedJson),
  });
}
