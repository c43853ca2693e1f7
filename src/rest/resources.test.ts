import { beforeEach, describe, expect, it } from 'vitest';
import { createRestFixture, type RestFixture } from '../testing/rest-fixture.ts';

let api: RestFixture;
beforeEach(async () => {
  api = await createRestFixture();
  await api.seed('Mesh', 'default', {});
});

const mesh = (name: string, extra = {}) => ({ type: 'Mesh', name, ...extra });
const dataplane = (name: string, tags: Record<string, string> = { 'kuma.io/service': 'web' }) => ({
  type: 'Dataplane',
  mesh: 'default',
  name,
  networking: { address: '10.0.0.1', inbound: [{ port: 80, tags }] },
});
const permission = (name: string, spec: unknown) => ({ type: 'MeshTrafficPermission', mesh: 'default', name, spec });
const secret = (name: string) => ({
  type: 'Secret',
  mesh: 'default',
  name,
  data: Buffer.from('s3cr3t').toString('base64'),
});
const fields = (json: Record<string, unknown>) =>
  (json['invalid_parameters'] as { field: string }[] | undefined)?.map(({ field }) => field);

describe('PUT', () => {
  it('creates with 201, updates with 200', async () => {
    const created = await api.call('PUT', '/meshes/demo', { body: mesh('demo') });
    expect(created).toMatchObject({ status: 201, json: {} });
    expect((await api.call('PUT', '/meshes/demo', { body: mesh('demo') })).status).toBe(200);
    const { json } = await api.call('GET', '/meshes/demo');
    expect(json).toMatchObject({
      type: 'Mesh',
      name: 'demo',
      creationTime: expect.any(String),
      modificationTime: expect.any(String),
    });
    expect(json).not.toHaveProperty('mesh');
  });

  it('checks in order: the mesh of the URL, the body, body against URL, access, the store', async () => {
    // (a)
    const noMesh = await api.call('PUT', '/meshes/none/dataplanes/d', { rawBody: '{' });
    expect(noMesh).toMatchObject({ status: 404, json: { title: 'Failed to retrieve Mesh', detail: 'Not found' } });
    // (b) unparsable
    const broken = await api.call('PUT', '/meshes/default/dataplanes/d', { rawBody: '{' });
    expect(broken).toMatchObject({
      status: 400,
      json: { title: 'Bad Request', detail: /^invalid Dataplane object: "/ },
    });
    // (b) static validation, although the name differs too
    const invalid = await api.call('PUT', '/meshes/default/dataplanes/d', {
      body: { ...dataplane('x'), networking: {} },
    });
    expect(invalid).toMatchObject({
      status: 400,
      json: { title: 'Could not process a resource', detail: 'Resource is not valid' },
    });
    expect(fields(invalid.json)).toContain('networking');
    // (c) all of it at once
    const differs = await api.call('PUT', '/meshes/default/dataplanes/d', {
      body: { ...dataplane('x'), mesh: 'y', labels: { 'bad label': 'v' } },
    });
    expect(differs).toMatchObject({ status: 400, json: { title: 'Could not process a resource' } });
    expect(fields(differs.json)).toEqual(expect.arrayContaining(['name', 'mesh']));
    // (c) before (d)
    const anonymous = { role: 'anonymous' as const };
    const early = await api.call('PUT', '/meshes/default/secrets/s', { body: { ...secret('other') }, ...anonymous });
    expect(early).toMatchObject({ status: 400, json: { title: 'Could not process a resource' } });
    // (d)
    const denied = await api.call('PUT', '/meshes/default/secrets/s', { body: secret('s'), ...anonymous });
    expect(denied).toMatchObject({ status: 403, json: { title: 'Access Denied' } });
    expect(await api.store.get({ type: 'Secret', mesh: 'default', name: 's' })).toBeUndefined();
  });

  it('names every field that body and URL disagree on', async () => {
    const { json } = await api.call('PUT', '/meshes/default/dataplanes/d', { body: { ...dataplane('x'), mesh: 'y' } });
    expect(json['invalid_parameters']).toEqual([
      { field: 'name', reason: 'name from the URL has to be the same as in body' },
      { field: 'mesh', reason: 'mesh from the URL has to be the same as in body' },
    ]);
    expect(json['causes']).toEqual([
      { field: 'name', message: 'name from the URL has to be the same as in body' },
      { field: 'mesh', message: 'mesh from the URL has to be the same as in body' },
    ]);
    expect(json).toMatchObject({ type: '/std-errors', status: 400, details: json['detail'] });
  });

  it('refuses constraints of the mesh and a Mesh whose backend is refused, under the operation that was tried', async () => {
    await api.seed('Mesh', 'strict', {
      constraints: { dataplaneProxy: { requirements: [{ tags: { team: 'red' } }] } },
    });
    const refused = await api.call('PUT', '/meshes/strict/dataplanes/d', {
      body: { ...dataplane('d'), mesh: 'strict' },
    });
    expect(refused).toMatchObject({ status: 400, json: { title: 'Could not create a resource' } });
    expect(refused.text).toMatch(/does not fulfill any requirements/);

    const picky = await createRestFixture({
      meshLifecycle: { validate: async () => [{ field: 'mtls.backends[0].conf', message: 'no' }] },
    });
    await picky.seed('Mesh', 'default', {});
    expect(await picky.call('PUT', '/meshes/new', { body: mesh('new') })).toMatchObject({
      status: 400,
      json: {
        title: 'Could not create a resource',
        invalid_parameters: [{ field: 'mtls.backends[0].conf', reason: 'no' }],
      },
    });
    expect(await picky.store.get({ type: 'Mesh', mesh: '', name: 'new' })).toBeUndefined();
    expect(await picky.call('PUT', '/meshes/default', { body: mesh('default') })).toMatchObject({
      json: { title: 'Could not update a resource' },
    });
  });

  it('makes what a Mesh stands on after each write, and shows validation the stored one', async () => {
    const seen: string[] = [];
    const own = await createRestFixture({
      meshLifecycle: {
        validate: async (_mesh, previous) => {
          seen.push(`validate ${previous ? 'update' : 'create'}`);
          return [];
        },
        ensure: async ({ meta }) => void seen.push(`ensure ${meta.name}`),
      },
    });
    await own.call('PUT', '/meshes/m', { body: mesh('m') });
    await own.call('PUT', '/meshes/m', { body: mesh('m', { routing: { zoneEgress: false } }) });
    expect(seen).toEqual(['validate create', 'ensure m', 'validate update', 'ensure m']);
  });

  it('stores a Dataplane with the zone and computed labels', async () => {
    await api.call('PUT', '/meshes/default/dataplanes/web-1', { body: dataplane('web-1') });
    const { json } = await api.call('GET', '/meshes/default/dataplanes/web-1');
    expect(json).toMatchObject({
      type: 'Dataplane',
      mesh: 'default',
      name: 'web-1',
      labels: { 'kuma.io/mesh': 'default', 'kuma.io/origin': 'zone', 'kuma.io/proxy-type': 'sidecar' },
      networking: { inbound: [{ port: 80, tags: { 'kuma.io/service': 'web', 'kuma.io/zone': 'default' } }] },
    });
  });

  it('refuses unknown fields of new-model kinds, and ignores those of old ones', async () => {
    const from = [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }];
    const put = (spec: unknown) =>
      api.call('PUT', '/meshes/default/meshtrafficpermissions/p', { body: permission('p', spec) });
    expect((await put({ from, surprise: 1 })).status).toBe(400);
    expect((await put({ from })).status).toBe(201);
    expect((await put({ from: [] })).json).toMatchObject({ title: 'Could not process a resource' });
    expect((await api.call('PUT', '/meshes/m', { body: mesh('m', { surprise: 1 }) })).status).toBe(201);
    expect((await api.call('GET', '/meshes/m')).json).not.toHaveProperty('surprise');
  });

  it('warns of deprecations and of names that DNS would not take', async () => {
    const from = [{ targetRef: { kind: 'MeshService', name: 'x' }, default: { action: 'Allow' } }];
    const deprecated = await api.call('PUT', '/meshes/default/meshtrafficpermissions/p', {
      body: permission('p', { from }),
    });
    expect(deprecated.json['warnings']).toHaveLength(1);
    const odd = await api.call('PUT', '/meshes/a.b', { body: mesh('a.b') });
    expect(odd.status).toBe(201);
    expect((odd.json['warnings'] as string[])[0]).toMatch(/^Invalid Mesh resource name: 'a.b'/);
  });

  it('keeps both of two concurrent writers happy', async () => {
    const bodies = Array.from({ length: 20 }, (_, index) => dataplane('same', { 'kuma.io/service': `s${index}` }));
    const answers = await Promise.all(
      bodies.map((body) => api.call('PUT', '/meshes/default/dataplanes/same', { body })),
    );
    expect(answers.every(({ status }) => status === 200 || status === 201)).toBe(true);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });

  it('is refused for what the control plane writes itself, and everywhere when reading only', async () => {
    const own = await api.call('PUT', '/meshes/default/dataplane-insights/x', { body: {} });
    expect(own).toMatchObject({ status: 405, json: { title: 'Method not allowed' } });
    expect((await api.call('DELETE', '/mesh-insights/default')).status).toBe(405);
    const reading = await createRestFixture({ readOnly: true });
    expect((await reading.call('PUT', '/meshes/m', { body: mesh('m') })).status).toBe(405);
    expect((await reading.call('DELETE', '/meshes/m')).status).toBe(405);
    expect((await reading.call('GET', '/meshes')).status).toBe(200);
  });
});

describe('DELETE', () => {
  it('deletes, and says when there is nothing', async () => {
    await api.call('PUT', '/meshes/default/dataplanes/d', { body: dataplane('d') });
    await api.seed('DataplaneInsight', 'd', {}, { mesh: 'default' });
    expect(await api.call('DELETE', '/meshes/default/dataplanes/d')).toMatchObject({ status: 200, json: {} });
    expect(await api.store.get({ type: 'DataplaneInsight', mesh: 'default', name: 'd' })).toBeUndefined();
    expect(await api.call('DELETE', '/meshes/default/dataplanes/d')).toMatchObject({
      status: 404,
      json: { title: 'Could not delete a resource', detail: 'Not found' },
    });
  });

  it('takes a Mesh away with everything in it', async () => {
    await api.seed('Mesh', 'other', {});
    await api.seed('MeshInsight', 'other', {});
    for (const type of ['Secret', 'MeshTrafficPermission', 'ServiceInsight'])
      await api.seed(type, 'x', {}, { mesh: 'other' });
    await api.seed('Secret', 'kept', {}, { mesh: 'default' });
    expect((await api.call('DELETE', '/meshes/other')).status).toBe(200);
    const left = await api.store.count();
    expect(Object.fromEntries([...left].filter(([, count]) => count > 0))).toEqual({ Mesh: 1, Secret: 1 });
  });

  it('asks the lifecycles first', async () => {
    const guarded = await createRestFixture({
      meshLifecycle: { validateDelete: async () => [{ field: 'mesh', message: 'in use' }] },
      secretLifecycle: { validateDelete: async () => [{ field: 'name', message: 'in use' }] },
    });
    await guarded.seed('Mesh', 'default', {});
    await guarded.seed('Secret', 's', {}, { mesh: 'default' });
    for (const path of ['/meshes/default', '/meshes/default/secrets/s']) {
      expect(await guarded.call('DELETE', path)).toMatchObject({
        status: 400,
        json: { title: 'Could not delete a resource' },
      });
    }
  });
});

describe('GET', () => {
  it('pages through a list with absolute links, filters and totals', async () => {
    for (const index of [1, 2, 3, 4, 5]) {
      await api.seed(
        'Dataplane',
        `web-${index}`,
        dataplane('x').networking ? { networking: dataplane('x').networking } : {},
        {
          mesh: 'default',
          labels: { team: index % 2 ? 'red' : 'blue' },
        },
      );
    }
    const first = await api.call('GET', '/meshes/default/dataplanes?size=2');
    expect(first.json).toMatchObject({
      total: 5,
      next: expect.stringMatching(/^http:\/\/localhost:5681\/meshes\/default\/dataplanes\?/),
    });
    const names: string[] = [];
    for (let url: string | null = '/meshes/default/dataplanes?size=2'; url !== null; ) {
      const { json } = await api.call('GET', url.replace('http://localhost:5681', ''));
      names.push(...(json['items'] as { name: string }[]).map(({ name }) => name));
      url = json['next'] as string | null;
    }
    expect(names).toEqual(['web-1', 'web-2', 'web-3', 'web-4', 'web-5']);
    const total = async (query: string) => (await api.call('GET', `/dataplanes?${query}`)).json['total'];
    expect(await total('name=-3')).toBe(1);
    expect(await total('filter[labels.team]=red')).toBe(3);
    expect(await total('tag=kuma.io/service:web')).toBe(5);
    expect(await total('gateway=true')).toBe(0);
    expect((await api.call('GET', '/dataplanes?gateway=x')).status).toBe(400);
    expect((await api.call('GET', '/dataplanes?offset=%25%25')).json).toMatchObject({
      title: 'Could not retrieve resources',
      detail: 'Invalid offset',
      invalid_parameters: [{ field: 'offset', reason: 'Invalid format' }],
    });
    expect((await api.call('GET', '/meshes/default/dataplanes?size=1001')).json).toMatchObject({
      detail: 'Invalid page size',
    });
    expect((await api.call('GET', '/meshes?name=zzz')).json).toEqual({ total: 0, items: [], next: null });
  });

  it('answers in Kubernetes form', async () => {
    await api.call('PUT', '/meshes/default/dataplanes/d', { body: dataplane('d') });
    const { json } = await api.call('GET', '/meshes/default/dataplanes/d?format=k8s&namespace=apps');
    expect(json).toMatchObject({ apiVersion: 'kuma.io/v1alpha1', kind: 'Dataplane', metadata: { name: 'd' } });
    expect((await api.call('GET', '/meshes/default?format=xml')).status).toBe(400);
  });

  it('shows Dataplanes with their insights, also under the old paths', async () => {
    await api.call('PUT', '/meshes/default/dataplanes/d', { body: dataplane('d') });
    await api.call('PUT', '/meshes/default/dataplanes/e', { body: dataplane('e') });
    await api.seed('DataplaneInsight', 'd', { mTLS: { issuedBackend: 'ca-1' } }, { mesh: 'default' });
    const { json } = await api.call('GET', '/meshes/default/dataplanes/d/_overview');
    expect(json).toMatchObject({
      type: 'DataplaneOverview',
      mesh: 'default',
      name: 'd',
      dataplane: { networking: { address: '10.0.0.1' } },
      dataplaneInsight: { mTLS: { issuedBackend: 'ca-1' } },
    });
    expect((await api.call('GET', '/meshes/default/dataplanes+insights/d')).json).toEqual(json);
    for (const path of [
      '/meshes/default/dataplanes/_overview',
      '/meshes/default/dataplanes+insights',
      '/dataplanes/_overview',
    ]) {
      const list = (await api.call('GET', path)).json;
      expect(list).toMatchObject({ total: 2, next: null });
      expect((list['items'] as unknown[])[0]).toEqual(json);
      expect((list['items'] as unknown[])[1]).not.toHaveProperty('dataplaneInsight');
    }
    expect((await api.call('GET', '/zones/_overview')).json).toEqual({ total: 0, items: [], next: null });
  });

  it('shows services one by one', async () => {
    const services = {
      web: { status: 'online', serviceType: 'internal', dataplanes: { online: 1, offline: 1 } },
      edge: { status: 'offline', serviceType: 'gateway_delegated', dataplanes: { offline: 1 } },
    };
    await api.seed(
      'ServiceInsight',
      'all-services-default',
      { services },
      { mesh: 'default', labels: { 'kuma.io/display-name': 'x' } },
    );
    const list = (await api.call('GET', '/meshes/default/service-insights')).json;
    expect(list).toMatchObject({ total: 2, next: null });
    expect((list['items'] as { name: string }[]).map(({ name }) => name)).toEqual(['edge', 'web']);
    expect((await api.call('GET', '/meshes/default/service-insights/web')).json).toMatchObject({
      type: 'ServiceInsight',
      mesh: 'default',
      name: 'web',
      status: 'online',
      addressPort: 'web.mesh:80',
      dataplanes: { total: 2, online: 1, offline: 1 },
    });
    expect((await api.call('GET', '/service-insights?type=internal')).json['total']).toBe(1);
    expect((await api.call('GET', '/service-insights?size=1')).json['next']).toBe(
      'http://localhost:5681/service-insights?offset=1&size=1',
    );
    expect((await api.call('GET', '/service-insights?type=nonsense')).status).toBe(400);
    expect((await api.call('PUT', '/meshes/default/service-insights/web', { body: {} })).status).toBe(405);
  });

  it('finds a resource by its KRI, but no secret', async () => {
    await api.call('PUT', '/meshes/default/dataplanes/d', { body: dataplane('d') });
    const { json } = await api.call('GET', '/meshes/default/dataplanes/d');
    expect(json['kri']).toBe('kri_dp_default_default__d_');
    expect((await api.call('GET', `/_kri/${json['kri']}`)).json).toEqual(json);
    expect((await api.call('GET', '/_kri/kri_dp_default_default__d_80')).json).toEqual(json);
    expect((await api.call('GET', '/_kri/kri_dp_default_other__d_')).status).toBe(404);
    expect((await api.call('GET', '/_kri/kri_x_default___d_')).status).toBe(400);
    expect((await api.call('GET', '/_kri/nonsense')).status).toBe(400);
  });

  it('says what is not there', async () => {
    expect(await api.call('GET', '/meshes/none')).toMatchObject({
      status: 404,
      json: { title: 'Could not retrieve a resource' },
    });
    expect(await api.call('GET', '/meshes/none/dataplanes')).toMatchObject({
      status: 404,
      json: { title: 'Failed to retrieve Mesh' },
    });
    expect(await api.call('GET', '/nothing/here')).toMatchObject({ status: 404, json: { type: '/std-errors' } });
    expect((await api.call('GET', '/meshes/default/dataplanes/a%2Fb')).status).toBe(404);
    expect((await api.call('GET', '/meshes/%zz')).status).toBe(400);
  });
});

describe('secrets', () => {
  it('are for admins, reads included, and their values are never logged', async () => {
    const failing = await createRestFixture({
      wrapStore: (store) => ({
        ...store,
        update: async (resource) => {
          throw new Error(`cannot write ${resource.meta.name}`);
        },
      }),
    });
    await failing.seed('Mesh', 'default', {});
    expect((await failing.call('PUT', '/meshes/default/secrets/s', { body: secret('s') })).status).toBe(201);
    const { json } = await failing.call('GET', '/meshes/default/secrets/s');
    expect(json).toMatchObject({ type: 'Secret', data: Buffer.from('s3cr3t').toString('base64') });
    const denied = await failing.call('GET', '/meshes/default/secrets/s', { role: 'user token' });
    expect(denied.json).toMatchObject({
      status: 403,
      title: 'Access Denied',
      detail: 'user "jo/ops,mesh-system:authenticated" cannot access the resource of type "Secret"',
    });
    expect((await failing.call('PUT', '/meshes/default/secrets/s', { body: secret('s') })).status).toBe(500);
    expect(JSON.stringify(failing.logged)).not.toMatch(/s3cr3t|czNjcjN0/);
    expect(failing.logged.some(({ level }) => level === 'error')).toBe(true);
  });

  it('have two paths for the global ones', async () => {
    const body = { type: 'GlobalSecret', name: 'g', data: 'eA==' };
    expect((await api.call('PUT', '/global-secrets/g', { body })).status).toBe(201);
    expect((await api.call('PUT', '/globalsecrets/g', { body })).status).toBe(200);
    expect((await api.call('GET', '/global-secrets')).json).toMatchObject({ total: 1 });
  });
});
