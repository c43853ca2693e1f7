import type { ResourceStore } from '../store/store.ts';
import { inStage, notAllowed, notFound, tooMany } from './problem.ts';
import type { RehearsalSource } from './rehearsal-source.ts';
import { createRequestRate } from './request-rate.ts';
import { requireMesh } from './require-mesh.ts';
import { type JsonSchema, json, type Route, type RouteAccess } from './route.ts';

const TITLE = 'Could not test a CA backend';
/** Of a backend: each is a certificate, which may cost money. */
const RATE = { burst: 3, refillMs: 10_000 };

const TEXT = { type: 'string' };
const ANSWER: JsonSchema = {
  type: 'object',
  required: ['mesh', 'backend', 'type', 'ok', 'steps', 'findings', 'usage'],
  properties: {
    mesh: TEXT,
    backend: TEXT,
    type: TEXT,
    ok: { type: 'boolean', description: 'A real certificate would be issued and would work' },
    steps: {
      type: 'array',
      description: 'In order, up to the first that failed',
      items: {
        type: 'object',
        required: ['name', 'ok', 'ms', 'message'],
        properties: {
          name: { type: 'string', enum: ['trust', 'rights', 'issue', 'check', 'handshake'] },
          ok: { type: 'boolean' },
          ms: { type: 'integer' },
          message: TEXT,
        },
      },
    },
    findings: {
      type: 'array',
      description: 'What is in the way',
      items: {
        type: 'object',
        required: ['field', 'message'],
        properties: {
          field: { type: 'string', description: 'Path in the Mesh' },
          message: TEXT,
          fix: { type: 'string', description: 'Something to paste that mends it' },
        },
      },
    },
    usage: { type: 'array', items: TEXT, description: 'What the present number of proxies means with this issuer' },
  },
};

/** `POST /meshes/{mesh}/_mtls/{backend}/_test`: a rehearsal; our own. Costs the issuer one certificate. */
export function rehearsalRoutes(sources: {
  store: ResourceStore;
  rehearsals: RehearsalSource;
  access: RouteAccess;
  readOnly: boolean;
  now: () => number;
}): readonly Route[] {
  const { store, rehearsals, now } = sources;
  const rate = createRequestRate(RATE);
  return [
    {
      method: 'POST',
      path: '/meshes/{mesh}/_mtls/{backend}/_test',
      access: sources.access,
      document: {
        id: 'testMtlsBackend',
        summary: 'Have a CA backend issue a certificate that nobody uses, check it, and do a handshake with it',
        tag: 'Certificates',
        answer: ANSWER,
        statuses: { 404: 'The Mesh lists no such backend', 429: 'Asked too often' },
      },
      async handle({ params }) {
        if (sources.readOnly) throw notAllowed('this control plane serves its API for reading only');
        const mesh = await requireMesh(store, params['mesh']!);
        const backend = params['backend']!;
        if (!mesh.spec.mtls?.backends?.some(({ name }) => name === backend)) throw notFound(TITLE);
        const wait = rate.take(`${mesh.meta.name}/${backend}`, 1, now());
        if (wait !== undefined)
          throw tooMany(`backend ${backend} of mesh ${mesh.meta.name} was tested a moment ago`, wait);
        const rehearsal = await inStage(TITLE, () => rehearsals.test(mesh, backend));
        if (rehearsal === undefined) throw notFound(TITLE);
        return json(rehearsal);
      },
    },
  ];
}
