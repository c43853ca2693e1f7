import fc from 'fast-check';
import { decodeJwt } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { createMetrics } from '../lib/metrics.ts';
import { StoreError } from '../store/store.ts';
import { createRestFixture, type RestFixture } from '../testing/rest-fixture.ts';

let api: RestFixture;
beforeAll(async () => {
  api = await createRestFixture();
  await api.seed('Mesh', 'default', {});
});

describe('what the control plane says of itself', () => {
  it('names product, version and instance', async () => {
    expect((await api.call('GET', '/')).json).toEqual({
      hostname: 'host-1',
      product: 'Kuma',
      version: '0.1.0',
      instanceId: 'host-1-abcd',
      clusterId: 'c0ffee',
      gui: '',
      basedOnKuma: '2.14.3',
      distribution: 'Weft',
    });
    expect((await api.call('GET', '/config')).json).toMatchObject({ mode: 'zone' });
  });

  it('says who the caller is', async () => {
    expect((await api.call('GET', '/who-am-i')).json).toEqual({
      name: 'mesh-system:admin',
      groups: ['mesh-system:admin', 'mesh-system:authenticated'],
    });
    expect((await api.call('GET', '/who-am-i', { role: 'user token' })).json).toEqual({
      name: 'jo',
      groups: ['ops', 'mesh-system:authenticated'],
    });
    expect((await api.call('GET', '/who-am-i', { role: 'anonymous' })).json['name']).toBe('mesh-system:anonymous');
    const bad = await api.call('GET', '/who-am-i', { role: 'bad token' });
    expect(bad).toMatchObject({ status: 401, json: { title: 'Invalid authentication data', type: '/std-errors' } });
    expect(bad.headers['www-authenticate']).toBe('Bearer');
  });

  it('does not take a web page or a proxied call for the admin', async () => {
    const strange: Record<string, string>[] = [
      { host: 'evil.example' },
      { origin: 'https://evil.example' },
      { 'x-forwarded-for': '10.0.0.1' },
      { 'sec-fetch-site': 'cross-site' },
    ];
    for (const headers of strange) {
      expect((await api.call('GET', '/global-secrets', { headers })).status).toBe(403);
      expect((await api.call('POST', '/tokens/user', { headers, body: { name: 'a', validFor: '1h' } })).status).toBe(
        403,
      );
    }
  });

  it('lists kinds and policies', async () => {
    expect((await api.call('GET', '/policies')).json['policies']).toEqual([
      {
        name: 'MeshTrafficPermission',
        readOnly: false,
        path: 'meshtrafficpermissions',
        singularDisplayName: 'Mesh Traffic Permission',
        pluralDisplayName: 'Mesh Traffic Permissions',
        isExperimental: false,
        isTargetRefBased: true,
        isInbound: true,
        isOutbound: false,
      },
    ]);
    const resources = (await api.call('GET', '/_resources')).json['resources'] as { name: string; policy?: unknown }[];
    expect(resources.map(({ name }) => name)).toContain('Mesh');
    expect(resources.map(({ name }) => name)).not.toContain('SealedLeaf');
    expect(resources.find(({ name }) => name === 'MeshTrafficPermission')?.policy).toEqual({
      hasFromTargetRef: true,
      hasToTargetRef: false,
      isFromAsRules: false,
      isTargetRef: true,
    });
  });

  it('sums up all meshes', async () => {
    const own = await createRestFixture();
    const stat = { online: 1, offline: 2, total: 3 };
    await own.seed('MeshInsight', 'a', {
      dataplanesByType: { standard: stat },
      policies: { X: { total: 2 } },
      resources: { X: { total: 2 } },
    });
    await own.seed('MeshInsight', 'b', { dataplanesByType: { standard: stat }, resources: { X: { total: 1 } } });
    await own.seed(
      'ServiceInsight',
      's',
      { services: { web: { status: 'online' }, db: { status: 'offline' } } },
      { mesh: 'a' },
    );
    await own.seed('Zone', 'z', {});
    expect((await own.call('GET', '/global-insight')).json).toMatchObject({
      createdAt: expect.any(String),
      dataplanes: { standard: { online: 2, offline: 4, partiallyDegraded: 0, total: 6 }, gatewayBuiltin: { total: 0 } },
      meshes: { total: 2 },
      policies: { total: 2 },
      resources: { X: { total: 3 } },
      services: { internal: { online: 1, offline: 1, partiallyDegraded: 0, total: 2 }, external: { total: 0 } },
      zones: { controlPlanes: { online: 0, total: 1 }, zoneEgresses: { online: 0, total: 0 } },
    });
    expect((await own.call('GET', '/global-insights')).json).toMatchObject({
      type: 'GlobalInsights',
      resources: { Zone: { total: 1 } },
    });
    expect((await own.call('GET', '/status/zones')).text).toContain('"active": false');
  });
});

describe('tokens', () => {
  it('are issued as text', async () => {
    const body = {
      mesh: 'default',
      name: 'web-1',
      tags: { 'kuma.io/service': ['web'] },
      type: 'dataplane',
      validFor: '1h',
    };
    const { status, text, headers } = await api.call('POST', '/tokens/dataplane', { body });
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^text\/plain/);
    expect(decodeJwt(text)).toMatchObject({
      Name: 'web-1',
      Mesh: 'default',
      Tags: { 'kuma.io/service': ['web'] },
      Type: 'dataplane',
    });
    expect(await api.tokens.validateDataplane(text, 'default')).toMatchObject({ name: 'web-1' });
    const ten = await api.call('POST', '/tokens/dataplane', { body: { mesh: 'default' } });
    const { exp = 0, iat = 0 } = decodeJwt(ten.text);
    expect(exp - iat).toBe(10 * 365 * 24 * 3600 + 5);
    expect((await api.call('POST', '/tokens/zone', { body: { zone: 'east', scope: ['ingress'] } })).status).toBe(200);
    const user = await api.call('POST', '/tokens/user', { body: { name: 'jo', groups: ['ops'], validFor: '30m' } });
    expect(await api.tokens.validateUser(user.text)).toEqual({ name: 'jo', groups: ['ops'] });
  });

  const refused: [string, unknown, [string, string][]][] = [
    ['dataplane', {}, [['mesh', 'cannot be empty']]],
    [
      'dataplane',
      { mesh: 'm', validFor: 'soon', type: 'x' },
      [
        ['validFor', 'is invalid: '],
        ['type', 'must be one of'],
      ],
    ],
    ['dataplane', { mesh: 'm', validFor: '-1h' }, [['validFor', 'is invalid: ']]],
    ['zone', { zone: 'z' }, [['scope', 'cannot be empty']]],
    [
      'user',
      {},
      [
        ['name', 'cannot be empty'],
        ['validFor', 'cannot be empty'],
      ],
    ],
    ['user', { name: 'a', validFor: '0s' }, [['validFor', 'cannot be empty or nil']]],
    ['user', { name: 'a', validFor: '1y' }, [['validFor', 'is invalid: ']]],
  ];
  it.each(refused)('name the fields of a bad %s request %j', async (kind, body, expected) => {
    const { status, json } = await api.call('POST', `/tokens/${kind}`, { body });
    expect(status).toBe(400);
    expect(json).toMatchObject({ title: 'Invalid request' });
    const parameters = json['invalid_parameters'] as { field: string; reason: string }[];
    expect(parameters.map(({ field }) => field)).toEqual(expected.map(([field]) => field));
    for (const [index, [, reason]] of expected.entries()) expect(parameters[index]?.reason).toContain(reason);
  });

  it('say when there is no signing key, and take no wrong types', async () => {
    expect((await api.call('POST', '/tokens/dataplane', { body: { mesh: 'unknown' } })).json).toMatchObject({
      status: 404,
      title: 'Signing Key not found',
      detail: expect.stringContaining('there is no signing key with KID 1'),
    });
    for (const body of [
      [],
      'x',
      1,
      null,
      { mesh: 1 },
      { mesh: 'm', tags: [] },
      { mesh: 'm', tags: { a: 'b' } },
      { scope: 'x' },
    ]) {
      const kind = typeof body === 'object' && body !== null && 'scope' in body ? 'zone' : 'dataplane';
      expect((await api.call('POST', `/tokens/${kind}`, { body })).status).toBe(400);
    }
  });
});

describe('requests that are not as they should be', () => {
  it('get 4xx with the same body as every refusal', async () => {
    const put = (rawBody: string | Buffer, headers = {}) => api.call('PUT', '/meshes/m', { rawBody, headers });
    expect((await put('{}', { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await put('a=b', { 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(415);
    expect((await put('')).status).toBe(400);
    expect((await put('[')).status).toBe(400);
    expect((await put(`{"a":${'['.repeat(200_000)}`)).status).toBe(400);
    expect((await put('{"type":"Mesh","name":"m","__proto__":{"x":1}}')).status).toBe(400);
    expect((await put(Buffer.alloc(9 * 1024 * 1024, 0x20))).status).toBe(413);
    for (const url of [
      '/meshes/%',
      '/meshes/%00',
      '/meshes?name=%00',
      `/meshes/${'a'.repeat(2000)}`,
      '/nope',
      '/meshes/a/b/c/d/e',
    ]) {
      const { status, json } = await api.call('GET', url);
      expect([400, 404]).toContain(status);
      expect(json).toMatchObject({ type: '/std-errors', status });
    }
    expect(
      (await put('{"type":"Mesh","name":"m"}', { 'content-type': 'application/json; charset=utf-8' })).status,
    ).toBe(201);
  });

  it('get no answer from other origins unless configured', async () => {
    const origin = 'https://gui.example';
    const preflight = await api.call('OPTIONS', '/meshes', { headers: { origin } });
    expect(preflight.status).toBe(404);
    expect(preflight.headers['access-control-allow-origin']).toBeUndefined();
    const open = await createRestFixture({ server: { corsAllowedDomains: ['https://gui\\.example', 'x'] } });
    const allowed = await open.call('OPTIONS', '/meshes', { headers: { origin } });
    expect(allowed).toMatchObject({ status: 204, headers: { 'access-control-allow-origin': origin } });
    expect(allowed.headers['access-control-allow-credentials']).toBeUndefined();
    for (const other of ['https://gui.example.evil', 'https://evil/https://gui.example', 'https://guiXexample', 'xx']) {
      const { headers } = await open.call('GET', '/meshes', { headers: { origin: other } });
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
    // An allowed page is still not the local admin.
    expect((await open.call('GET', '/global-secrets', { headers: { origin } })).status).toBe(403);
    await expect(createRestFixture({ server: { corsAllowedDomains: ['('] } })).rejects.toThrow(
      /not a regular expression/,
    );
  });
});

describe('a store that fails', () => {
  it('gives 503 or 500 with the cause in the log only', async () => {
    let failure: Error = new StoreError('unavailable', 'connect to 10.0.0.3:5432: password for kuma refused');
    const own = await createRestFixture({
      wrapStore: (store) => ({
        ...store,
        list: async () => {
          throw failure;
        },
      }),
    });
    const unavailable = await own.call('GET', '/meshes');
    expect(unavailable).toMatchObject({ status: 503, json: { title: 'Service unavailable' } });
    failure = new TypeError('boom in /srv/weft/store.js');
    const broken = await own.call('GET', '/meshes');
    expect(broken).toMatchObject({
      status: 500,
      json: { title: 'Could not retrieve resources', detail: 'Internal Server Error' },
    });
    expect(unavailable.text + broken.text).not.toMatch(/10\.0\.0\.3|boom|srv/);
    expect(JSON.stringify(own.logged.map(({ fields }) => String((fields as { reason: Error }).reason)))).toMatch(
      /boom/,
    );
  });
});

describe('behind a path and an address of its own', () => {
  it('serves there and links there', async () => {
    const own = await createRestFixture({ server: { basePath: '/api/', rootUrl: 'https://mesh.example/api' } });
    for (const name of ['a', 'b']) await own.seed('Mesh', name, {});
    expect((await own.call('GET', '/meshes')).status).toBe(404);
    expect((await own.call('GET', '/api/')).status).toBe(200);
    expect((await own.call('GET', '/api/meshes?size=1')).json['next']).toMatch(
      /^https:\/\/mesh\.example\/api\/meshes\?/,
    );
  });
});

describe('metrics', () => {
  it('count by route, not by path', async () => {
    const metrics = createMetrics();
    const own = await createRestFixture({ server: { metrics } });
    await own.call('GET', '/meshes/some-mesh');
    const text = await metrics.metrics();
    expect(text).toContain('handler="/meshes/{name}",method="GET",code="404"');
    expect(text).not.toContain('some-mesh');
  });
});

describe('any body', () => {
  const urls = [
    ['PUT', '/meshes/m', 'Mesh'],
    ['PUT', '/meshes/default/dataplanes/d', 'Dataplane'],
    ['PUT', '/meshes/default/meshtrafficpermissions/p', 'MeshTrafficPermission'],
    ['PUT', '/meshes/default/secrets/s', 'Secret'],
    ['PUT', '/zones/z', 'Zone'],
    ['POST', '/tokens/dataplane', ''],
    ['POST', '/tokens/zone', ''],
    ['POST', '/tokens/user', ''],
  ] as const;
  const names = [
    'mesh',
    'name',
    'labels',
    'spec',
    'networking',
    'inbound',
    'tags',
    'mtls',
    'backends',
    'targetRef',
    'from',
    'data',
    'type',
    'kind',
  ];
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom('default', 'm', '', 'kuma.io/service', 'Mesh', '1h', '\u0000', '../x'),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('node'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), tie('node'), { maxKeys: 4 }),
    ),
  })).node;

  it.each(urls)('%s %s never answers with 5xx', async (method, url, type) => {
    const body = fc.oneof(
      value,
      fc
        .dictionary(fc.constantFrom(...names), value, { maxKeys: 6 })
        .map((given) => ({ ...given, type, name: url.split('/').at(-1), mesh: 'default' })),
    );
    await fc.assert(
      fc.asyncProperty(body, async (given) => {
        const { status, text } = await api.call(method, url, { body: given });
        expect(status, text).toBeLessThan(500);
      }),
      { numRuns: 150 },
    );
  });

  it('in bytes never answers with 5xx either', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const { status } = await api.call('PUT', '/meshes/m', { rawBody: Buffer.from(bytes) });
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 200 },
    );
  });

  it('nor does any query', async () => {
    const query = fc.array(
      fc.tuple(
        fc.oneof(
          fc.constantFrom('size', 'offset', 'name', 'filter[labels.a]', 'filter[', 'tag', 'gateway', 'format', 'type'),
          fc.string(),
        ),
        fc.string(),
      ),
      { maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(
        query,
        fc.constantFrom('/meshes', '/dataplanes', '/service-insights', '/meshes/default', '/dataplanes/_overview'),
        async (pairs, path) => {
          const { status } = await api.call('GET', `${path}?${new URLSearchParams(pairs)}`);
          expect(status).toBeLessThan(500);
        },
      ),
      { numRuns: 300 },
    );
  });
});
