/** What a mesh trusts no more: one certificate, a service's, a backend's. Our own; decision 0026. */
import { DISTRUST_KINDS, type DistrustKind } from '../resources/kinds/mesh-distrust.ts';
import type { Violation } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';
import type { DistrustEffect, Distrusted, DistrustSource } from './distrust-source.ts';
import { badRequest, inStage, notAllowed, notFound, requireValid } from './problem.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, EVERYONE, type JsonSchema, json, type Route, type RouteAccess } from './route.ts';

const TAG = 'Certificates';
const TITLE = 'Could not distrust';

export interface DistrustRouteSources {
  readonly store: ResourceStore;
  readonly distrust: DistrustSource;
  /** Whoever may write the mesh. */
  readonly access: RouteAccess;
  /** The whole API is for reading. */
  readonly readOnly: boolean;
}

const ITEM: JsonSchema = {
  type: 'object',
  required: ['kind', 'name', 'at', 'by', 'certificates', 'effect', 'message'],
  properties: {
    kind: { enum: [...DISTRUST_KINDS] },
    name: { type: 'string', description: 'Serial, service or backend' },
    at: { type: 'string', format: 'date-time' },
    by: { type: 'string', description: 'User' },
    reason: { type: 'string' },
    until: {
      type: 'string',
      format: 'date-time',
      description: 'When the last of the certificates ends; absent: until it is lifted',
    },
    certificates: {
      type: 'integer',
      description: 'Certificates that are concerned, those before the ones in use included',
    },
    effect: { enum: ['revoked', 'untrusted', 'denied', 'replaced-only'] },
    message: { type: 'string', description: 'What happens, and what does not' },
  },
};

export function distrustRoutes(sources: DistrustRouteSources): readonly Route[] {
  const { store, distrust, access } = sources;
  const path = '/meshes/{mesh}/_distrust';
  const writing = (run: (call: Call) => Promise<Answer>) =>
    sources.readOnly
      ? async () => {
          throw notAllowed('this control plane serves its API for reading only');
        }
      : run;
  return [
    {
      method: 'GET',
      path,
      access: EVERYONE,
      document: {
        id: 'listDistrusted',
        summary: 'What a mesh trusts no more',
        tag: TAG,
        answer: {
          type: 'object',
          required: ['total', 'items'],
          properties: { total: { type: 'integer' }, items: { type: 'array', items: ITEM } },
        },
      },
      async handle({ params }) {
        const mesh = await requireMesh(store, params['mesh']!);
        const items = await inStage(TITLE, () => distrust.list(mesh.meta.name));
        return json({ total: items.length, items: items.map(itemJson) });
      },
    },
    {
      method: 'POST',
      path,
      access,
      document: {
        id: 'distrust',
        summary: 'Trust a certificate, those of a service, or those of a CA backend no more',
        tag: TAG,
        body: {
          type: 'object',
          description: 'Exactly one of `serial`, `service` and `backend`.',
          properties: {
            serial: { type: 'string', description: 'Hex; colons are left out' },
            service: { type: 'string' },
            backend: { type: 'string' },
            reason: { type: 'string', description: 'For those who look later' },
          },
        },
        answer: ITEM,
      },
      handle: writing(async (call) => {
        const request = readRequest(call.body());
        const mesh = await requireMesh(store, call.params['mesh']!);
        const added = await inStage(TITLE, () => distrust.add(mesh, { ...request, by: call.user.name }));
        if (!('entry' in added)) {
          requireValid(TITLE, added);
          throw new TypeError('neither an entry nor a violation');
        }
        return json(itemJson(added));
      }),
    },
    {
      method: 'DELETE',
      path: `${path}/{kind}/{name}`,
      access,
      document: { id: 'liftDistrust', summary: 'Trust it again', tag: TAG, statuses: { 404: 'It is not distrusted' } },
      handle: writing(async ({ params }) => {
        const mesh = await requireMesh(store, params['mesh']!);
        const kind = DISTRUST_KINDS.find((one) => one === params['kind']);
        const lifted =
          kind !== undefined && (await inStage(TITLE, () => distrust.lift(mesh.meta.name, kind, params['name']!)));
        if (!lifted) throw notFound(TITLE);
        return json({});
      }),
    },
  ];
}

function readRequest(body: unknown): { kind: DistrustKind; name: string; reason?: string } {
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw badRequest('read the body: a JSON object is needed');
  }
  const { serial, service, backend, reason, ...unknown } = body as Record<string, unknown>;
  const violations: Violation[] = Object.keys(unknown).map((field) => ({ field, message: 'unknown field' }));
  for (const [field, value] of Object.entries({ serial, service, backend, reason })) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      violations.push({ field, message: 'must be a text that is not empty' });
    }
  }
  const given = [
    ['leaf', serial],
    ['service', service],
    ['backend', backend],
  ] as const;
  const [one, ...more] = given.filter(([, value]) => value !== undefined);
  if (one === undefined || more.length > 0) {
    violations.push({ field: '', message: 'exactly one of serial, service and backend has to be given' });
  }
  const [kind, value] = one ?? (['leaf', ''] as const);
  const name = kind === 'leaf' ? String(value).replaceAll(':', '').toLowerCase() : String(value);
  if (kind === 'leaf' && one !== undefined && !/^[0-9a-f]+$/.test(name)) {
    violations.push({ field: 'serial', message: 'must be hexadecimal' });
  }
  requireValid(TITLE, violations);
  return { kind, name, ...(reason === undefined ? {} : { reason: String(reason) }) };
}

function itemJson({ entry, effect }: Distrusted): object {
  const { certificates, denied: _denied, ...rest } = entry;
  return {
    ...rest,
    certificates: certificates.length,
    effect: effect.kind,
    message: messageOf(effect, entry),
  };
}

function messageOf(effect: DistrustEffect, { until }: Distrusted['entry']): string {
  const replaced = 'Proxies that hold one of these certificates get another one with a new key now';
  const drained = 'connections that rest on them end within the drain time of each proxy';
  switch (effect.kind) {
    case 'revoked':
      return `${replaced}. Every proxy refuses the old ones, and ${drained}.`;
    case 'untrusted':
      return `The CA certificates of the backend leave what proxies trust, so its certificates are refused, and ${drained}.`;
    case 'denied':
      return `${replaced}. The old ones can't be revoked: ${effect.why}. So clients with the identity of this service are refused, with new certificates too, until you lift it. Its certificates still serve: where that matters, go over to another CA and distrust this one.`;
    case 'replaced-only':
      return `${replaced}. The old ones can't be revoked: ${effect.why}. They are accepted until they end, the last one at ${until}. To refuse them sooner distrust the service, or go over to another CA and distrust this one.`;
    default:
      return effect satisfies never;
  }
}
