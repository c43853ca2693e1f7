import { describe, expect, it } from 'vitest';
import { createRestFixture, ROLES, type Role } from '../testing/rest-fixture.ts';
import type { Route } from './route.ts';

type Audience = 'public' | 'everyone' | 'admin';

/** Who may use the routes of a kind. A new kind must be put here before its routes pass. */
const KINDS: Readonly<Record<string, Audience>> = {
  Mesh: 'everyone',
  Dataplane: 'everyone',
  DataplaneInsight: 'everyone',
  MeshInsight: 'everyone',
  ServiceInsight: 'everyone',
  Zone: 'everyone',
  MeshTrafficPermission: 'everyone',
  Secret: 'admin',
  GlobalSecret: 'admin',
};

/** Who may use every other route. A new route must be put here before it passes. */
const ROUTES: Readonly<Record<string, Audience>> = {
  'GET /': 'public',
  'GET /openapi.json': 'public',
  'GET /config': 'everyone',
  'GET /_control-plane': 'everyone',
  'GET /who-am-i': 'everyone',
  'GET /_kri/{kri}': 'everyone',
  'GET /policies': 'everyone',
  'GET /_resources': 'everyone',
  'GET /global-insight': 'everyone',
  'GET /global-insights': 'everyone',
  'GET /status/zones': 'everyone',
  'POST /tokens/dataplane': 'admin',
  'POST /tokens/zone': 'admin',
  'POST /tokens/user': 'admin',
  'GET /meshes/{mesh}/_mtls': 'everyone',
  'POST /meshes/{mesh}/_mtls/{backend}/_test': 'everyone',
  'GET /meshes/{mesh}/_ca-rotation': 'everyone',
  'POST /meshes/{mesh}/_ca-rotation': 'everyone',
  'DELETE /meshes/{mesh}/_ca-rotation': 'everyone',
  'GET /meshes/{mesh}/_certificates': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/_certificate': 'everyone',
  'POST /meshes/{mesh}/_certificates/_renew': 'everyone',
  'GET /meshes/{mesh}/_distrust': 'everyone',
  'POST /meshes/{mesh}/_distrust': 'everyone',
  'DELETE /meshes/{mesh}/_distrust/{kind}/{name}': 'everyone',
  'POST /meshes/{mesh}/dataplanes/{name}/_certificate/_renew': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/xds': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/stats': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/clusters': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/_config': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/policies': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/rules': 'everyone',
  'GET /meshes/{mesh}/dataplanes/{name}/_rules': 'everyone',
  'GET /meshes/{mesh}/meshtrafficpermissions/{name}/_resources/dataplanes': 'everyone',
  'GET /meshes/{mesh}/meshtrafficpermissions/{name}/-resources/dataplanes': 'everyone',
  'GET /meshes/{mesh}/meshtrafficpermissions/{name}/dataplanes': 'everyone',
};

const api = await createRestFixture();
await api.seed('Mesh', 'default', {});

function audienceOf(route: Route): Audience | undefined {
  const own = ROUTES[`${route.method} ${route.path}`];
  return own ?? KINDS[route.document.tag];
}

/** A body that gets as far as the access check. */
function bodyFor(route: Route): unknown {
  if (route.method === 'PUT') return { type: route.document.tag, mesh: 'default', name: 'x', data: 'eA==' };
  return { mesh: 'default', name: 'x', scope: ['egress'], validFor: '1h' };
}

async function statusFor(route: Route, role: Role): Promise<number> {
  const url = route.path
    .replace('{mesh}', 'default')
    .replace('{name}', 'x')
    .replace('{backend}', 'x')
    .replace('{kri}', 'kri_dp_default___x_');
  const body = route.method === 'GET' || route.method === 'DELETE' ? {} : { body: bodyFor(route) };
  return (await api.call(route.method, url, { role, ...body })).status;
}

/** What a role must get; `undefined`: anything but 401 and 403. */
function refusalFor(audience: Audience, role: Role): number | undefined {
  if (audience === 'public') return undefined;
  if (role === 'bad token') return 401;
  if (audience === 'admin' && (role === 'anonymous' || role === 'user token')) return 403;
  return undefined;
}

describe('every route for every role', () => {
  it('is in the table, once', () => {
    const unknown = api.routes.filter((route) => audienceOf(route) === undefined);
    expect(unknown.map((route) => `${route.method} ${route.path}`)).toEqual([]);
    const served = api.routes.map((route) => `${route.method} ${route.path}`);
    expect(new Set(served).size).toBe(served.length);
    expect(Object.keys(ROUTES).filter((route) => !served.includes(route))).toEqual([]);
    const tags = new Set(api.routes.map((route) => route.document.tag));
    expect(Object.keys(KINDS).filter((kind) => !tags.has(kind))).toEqual([]);
  });

  it.each(api.routes.map((route): [string, Route] => [`${route.method} ${route.path}`, route]))(
    '%s',
    async (_name, route) => {
      for (const role of ROLES) {
        const status = await statusFor(route, role);
        const refusal = refusalFor(audienceOf(route)!, role);
        if (refusal === undefined) expect([401, 403], `${role}: ${status}`).not.toContain(status);
        else expect(status, role).toBe(refusal);
      }
    },
  );

  it('is refused by the server when the handler forgot to check', async () => {
    const forgetful: Route = {
      method: 'GET',
      path: '/forgetful',
      access: { rule: 'adminResources', what: 'x', late: true },
      document: { id: 'x', summary: 'x', tag: 'x' },
      handle: async () => ({ json: { secret: 1 } }),
    };
    const own = await createRestFixture({ server: { routes: [forgetful] } });
    const answer = await own.call('GET', '/forgetful', { role: 'anonymous' });
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain('secret');
  });

  it('follows the configured rules', async () => {
    const own = await createRestFixture({
      server: {
        access: {
          ...(await import('../auth/access.ts')).DEFAULT_ACCESS,
          controlPlaneMetadata: { users: ['jo'], groups: [] },
          viewStats: { users: [], groups: ['ops'] },
        },
      },
    });
    expect((await own.call('GET', '/config', { role: 'anonymous' })).status).toBe(403);
    expect((await own.call('GET', '/config', { role: 'user token' })).status).toBe(200);
    expect((await own.call('GET', '/meshes/m/dataplanes/d/stats', { role: 'anonymous' })).status).toBe(403);
    expect((await own.call('GET', '/meshes/m/dataplanes/d/stats', { role: 'user token' })).status).toBe(404);
  });
});
