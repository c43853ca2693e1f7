import { userText } from '../auth/access.ts';
import { isJsonObject } from '../resources/plain-json.ts';
import { RotationRefused } from '../rotation/refusal.ts';
import type { RotationRequest } from '../rotation/request.ts';
import { type RotationStatus, rotationJson } from '../rotation/status.ts';
import type { ResourceStore } from '../store/store.ts';
import type { CaRotations } from './ca-rotations.ts';
import { badRequest, notAllowed, notFound, Problem, requireValid } from './problem.ts';
import { requireMesh } from './require-mesh.ts';
import { EVERYONE, json, type Route, type RouteAccess } from './route.ts';

const PATH = '/meshes/{mesh}/_ca-rotation';
const TITLE = 'Could not change the CA of a mesh';

export interface CaRotationSources {
  readonly store: ResourceStore;
  readonly caRotations: CaRotations;
  /** Who may change the CA of a mesh. */
  readonly access: RouteAccess;
  /** The API is for reading only. */
  readonly readOnly: boolean;
}

/** Another CA for a mesh without a failed request; our own (decision 0023). */
export function caRotationRoutes(sources: CaRotationSources): readonly Route[] {
  const { store, caRotations: rotations, access } = sources;
  const requireWritable = () => {
    if (sources.readOnly) throw notAllowed('this control plane serves its API for reading only');
  };
  return [
    {
      method: 'GET',
      path: PATH,
      access: EVERYONE,
      document: {
        id: 'getCaRotation',
        summary: 'How far the change of the CA is, in total and per service',
        tag: 'CA rotation',
      },
      async handle({ params }) {
        const { meta } = await requireMesh(store, params['mesh']!);
        const status = await rotations.status(meta.name);
        if (status === undefined) throw notFound('No CA rotation');
        return json({ mesh: meta.name, ...rotationJson(status) });
      },
    },
    {
      method: 'POST',
      path: PATH,
      access,
      document: {
        id: 'postCaRotation',
        summary:
          'Begin to change the CA ({to, offline, dropOld}), renew a builtin one ({renew: true}), pause or resume ({paused})',
        tag: 'CA rotation',
        body: {
          type: 'object',
          properties: {
            to: { type: 'string', description: 'backend that shall issue; listed in the Mesh' },
            renew: { type: 'boolean', description: 'a builtin backend gets a new CA' },
            offline: {
              type: 'string',
              description: '`wait` (default), or how long to wait for proxies that are away, such as `10m`',
            },
            dropOld: { type: 'boolean', description: 'the old backend is taken off the Mesh in the end' },
            paused: { type: 'boolean', description: 'alone: pause (true) or resume (false) the running rotation' },
          },
        },
        statuses: { 201: 'Begun', 409: 'Another rotation is under way' },
      },
      async handle({ params, user, body }) {
        requireWritable();
        const { meta } = await requireMesh(store, params['mesh']!);
        const given = body();
        if (!isJsonObject(given)) throw badRequest('the body has to be an object such as {"to": "ca-2"}');
        const { paused } = given;
        if (paused !== undefined) {
          requireValid(
            TITLE,
            typeof paused === 'boolean' ? [] : [{ field: 'paused', message: 'has to be true or false' }],
          );
          const status = await refusing(() => rotations.pause(meta.name, paused === true));
          return json({ mesh: meta.name, ...rotationJson(status) });
        }
        const status = await refusing(() => rotations.start(meta.name, readRequest(given), userText(user)));
        return json({ mesh: meta.name, ...rotationJson(status) }, 201);
      },
    },
    {
      method: 'DELETE',
      path: PATH,
      access,
      document: {
        id: 'deleteCaRotation',
        summary: 'Take the running rotation back: the old CA issues again',
        tag: 'CA rotation',
      },
      async handle({ params }) {
        requireWritable();
        const { meta } = await requireMesh(store, params['mesh']!);
        const status = await refusing(() => rotations.rollBack(meta.name));
        return json({ mesh: meta.name, ...rotationJson(status) });
      },
    },
  ];
}

const TYPES = { to: 'string', renew: 'boolean', offline: 'string', dropOld: 'boolean' } as const;

function readRequest(given: Readonly<Record<string, unknown>>): RotationRequest {
  const known = Object.entries(TYPES);
  requireValid(TITLE, [
    ...Object.keys(given).flatMap((field) =>
      field in TYPES ? [] : [{ field, message: `is not known; use one of ${known.map(([name]) => name).join(', ')}` }],
    ),
    ...known.flatMap(([field, type]) =>
      given[field] === undefined || typeof given[field] === type ? [] : [{ field, message: `has to be a ${type}` }],
    ),
  ]);
  const { to, renew, offline, dropOld } = given as {
    to?: string;
    renew?: boolean;
    offline?: string;
    dropOld?: boolean;
  };
  return { to, renew: renew ?? false, offline: offline ?? 'wait', dropOld: dropOld ?? false };
}

/** Refusals as problems, with the field where there is one. */
async function refusing(run: () => Promise<RotationStatus>): Promise<RotationStatus> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof RotationRefused)) throw error;
    const violations = error.field === undefined ? [] : [{ field: error.field, message: error.message }];
    const detail = violations.length > 0 ? 'Request is not valid' : error.message;
    throw new Problem({ invalid: 400, conflict: 409, missing: 404 }[error.code], TITLE, detail, { violations });
  }
}
