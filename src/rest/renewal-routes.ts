/** Renewal of certificates on request; our own. */
import type { RenewalRequest } from '../identity/identity.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource, Violation } from '../resources/resource.ts';
import { matchesCertificate } from './certificate-filter.ts';
import type { CertificateSources } from './certificate-routes.ts';
import { badRequest, inStage, notAllowed, notFound, requireValid, tooMany } from './problem.ts';
import { createRequestRate, type RequestRate } from './request-rate.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, type JsonSchema, json, type Route, type RouteAccess } from './route.ts';

const TITLE = 'Could not renew certificates';
/** Of a mesh: so many single proxies at once, then one every few seconds; a service, or the whole mesh, takes all of it: once a minute. */
const RATE = { burst: 20, refillMs: 3000 };
/** One proxy is renewed at once, up to the pace of the issuer. */
const ONE_SECONDS = 5;

export interface RenewalSources extends CertificateSources {
  /** Whoever may write the mesh. */
  readonly access: RouteAccess;
  /** The whole API is for reading. */
  readonly readOnly: boolean;
}

const ANSWER: JsonSchema = {
  type: 'object',
  required: ['count', 'estimateSeconds', 'requestedAt'],
  properties: {
    count: { type: 'integer', description: 'Proxies that get a new certificate' },
    estimateSeconds: { type: 'integer', description: 'Until the last of them has it, if the issuer keeps pace' },
    requestedAt: { type: 'string', format: 'date-time' },
  },
};
const STATUSES = { 202: 'Accepted: certificates are renewed one after the other', 429: 'Asked too often' };

export function renewalRoutes(sources: RenewalSources): readonly Route[] {
  const rate = createRequestRate(RATE);
  const handle = (run: (call: Call) => Promise<Answer>) =>
    sources.readOnly
      ? async () => {
          throw notAllowed('this control plane serves its API for reading only');
        }
      : run;
  return [
    {
      method: 'POST',
      path: '/meshes/{mesh}/_certificates/_renew',
      access: sources.access,
      document: {
        id: 'renewCertificates',
        summary: 'Renew the certificates of one proxy, of a service, or of a mesh, spread over time',
        tag: 'Certificates',
        body: {
          type: 'object',
          description: 'Exactly one of `proxy`, `service` and `all`.',
          properties: {
            proxy: { type: 'string' },
            service: { type: 'string' },
            all: { type: 'boolean', const: true },
            backend: { type: 'string', description: 'Only certificates of this backend' },
          },
        },
        answer: ANSWER,
        statuses: STATUSES,
      },
      handle: handle((call) => renew(sources, rate, call, readTarget(call.body()))),
    },
    {
      method: 'POST',
      path: '/meshes/{mesh}/dataplanes/{name}/_certificate/_renew',
      access: sources.access,
      document: {
        id: 'renewCertificate',
        summary: 'Renew the certificate of one proxy',
        tag: 'Certificates',
        answer: ANSWER,
        statuses: STATUSES,
      },
      handle: handle((call) => renew(sources, rate, call, { proxy: call.params['name']! })),
    },
  ];
}

type Target = Pick<RenewalRequest, 'proxy' | 'service' | 'backend'>;

function readTarget(body: unknown): Target {
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw badRequest('read the body: a JSON object is needed');
  }
  const { proxy, service, all, backend, ...unknown } = body as Record<string, unknown>;
  const violations: Violation[] = Object.keys(unknown).map((field) => ({ field, message: 'unknown field' }));
  for (const [field, value] of Object.entries({ proxy, service, backend })) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      violations.push({ field, message: 'must be a text that is not empty' });
    }
  }
  if (all !== undefined && all !== true) violations.push({ field: 'all', message: 'must be true' });
  if ([proxy, service, all].filter((value) => value !== undefined).length !== 1) {
    violations.push({ field: '', message: 'exactly one of proxy, service and all has to be given' });
  }
  requireValid(TITLE, violations);
  return {
    ...(proxy === undefined ? {} : { proxy: String(proxy) }),
    ...(service === undefined ? {} : { service: String(service) }),
    ...(backend === undefined ? {} : { backend: String(backend) }),
  };
}

async function renew(sources: RenewalSources, rate: RequestRate, call: Call, target: Target): Promise<Answer> {
  const { store, certificates, now } = sources;
  const mesh = await requireMesh(store, call.params['mesh']!);
  requireValid(TITLE, targetViolations(mesh, target));
  const count = await inStage(TITLE, () => countOf(sources, mesh, target));
  if (count === 0 && target.proxy !== undefined) throw notFound(TITLE);
  if (count === 0) {
    requireValid(TITLE, [
      { field: target.service === undefined ? 'all' : 'service', message: 'no proxy is concerned' },
    ]);
  }
  const wait = rate.take(mesh.meta.name, target.proxy === undefined ? RATE.burst : 1, now());
  if (wait !== undefined) throw tooMany(`renewals of mesh ${mesh.meta.name} were asked for a moment ago`, wait);
  const at = now();
  await inStage(TITLE, () => certificates.renew({ mesh: mesh.meta.name, ...target, at }));
  const windowSeconds = Math.ceil(certificates.renewalWindowMs(mesh) / 1000);
  const estimateSeconds = target.proxy === undefined ? windowSeconds : ONE_SECONDS;
  return json({ count, estimateSeconds, requestedAt: new Date(at).toISOString() }, 202);
}

function targetViolations({ meta, spec }: Resource<MeshSpec>, { backend }: Target): readonly Violation[] {
  const listed = (spec.mtls?.backends ?? []).map(({ name }) => name);
  if (!spec.mtls?.enabledBackend) {
    return [{ field: 'mesh', message: `mTLS of mesh ${meta.name} is off, so there are no certificates to renew` }];
  }
  if (backend === undefined || listed.includes(backend)) return [];
  return [{ field: 'backend', message: `mesh ${meta.name} has no backend "${backend}", only ${listed.join(', ')}` }];
}

/** Dataplanes whose certificate the request is about. */
async function countOf(sources: RenewalSources, mesh: Resource<MeshSpec>, target: Target): Promise<number> {
  const { store, certificates } = sources;
  const filter = { states: new Set<string>(), service: target.service, backend: target.backend };
  const { total } = await store.list({
    type: 'Dataplane',
    mesh: mesh.meta.name,
    size: 1,
    where: (resource) =>
      (target.proxy === undefined || resource.meta.name === target.proxy) &&
      matchesCertificate(
        filter,
        certificates.view(mesh, resource as Resource<DataplaneSpec>, undefined),
        sources.now(),
      ),
  });
  return total;
}
