import { describe, expect, it } from 'vitest';
import { certificateView } from '../identity/certificate-view.ts';
import { desiredIdentity } from '../identity/desired.ts';
import type { HeldLeaf, RenewalRequest } from '../identity/identity.ts';
import { createRestFixture, type RestFixture, type RestFixtureOptions } from '../testing/rest-fixture.ts';
import { certificateDetailSchema, certificateSchema } from './certificate-json.ts';

const HOUR = 3_600_000;
const NOW = Date.now();
const MESH = { mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] } };

function leafOf(name: string, uriSans: readonly string[], hoursOld: number): HeldLeaf {
  const issuedAt = NOW - hoursOld * HOUR;
  return {
    chainPem: `CHAIN of ${name}`,
    keyPem: 'CANARY-KEY',
    serial: Buffer.from(name).toString('hex'),
    uriSans,
    backend: 'ca-1',
    issuer: 'CN=ca',
    notBefore: issuedAt - 10_000,
    notAfter: issuedAt + 24 * HOUR,
    issuedAt,
    renewAt: issuedAt + 18 * HOUR,
    generation: 2,
    reason: 'due',
    former: [],
  };
}

/** `hoursOld`: age of the leaf of a proxy; `undefined`: it has none here. */
async function fixture(hoursOld: (name: string) => number | undefined, options: RestFixtureOptions = {}) {
  const renewed: RenewalRequest[] = [];
  const api = await createRestFixture({
    ...options,
    certificates: {
      view(mesh, dataplane, insight) {
        const proxy = { mesh: mesh.meta.name, name: dataplane.meta.name };
        const desired = desiredIdentity(mesh, dataplane);
        const age = hoursOld(proxy.name);
        const leaf = age === undefined ? undefined : leafOf(proxy.name, desired?.uriSans ?? [], age);
        return certificateView({ proxy, desired, own: { desired, leaf, failure: undefined }, insight }, NOW);
      },
      chainPem: ({ name }) => `CHAIN of ${name}`,
      history: () => [
        {
          serial: '0a',
          backend: 'ca-1',
          issuer: 'CN=ca',
          notBefore: 0,
          notAfter: 1,
          issuedAt: 0,
          generation: 2,
          reason: 'due',
        },
      ],
      renewalWindowMs: () => 900_000,
      renew: async (request) => void renewed.push(request),
    },
  });
  await api.seed('Mesh', 'default', MESH);
  return { api, renewed };
}

const seedProxy = (api: RestFixture, name: string, service: string) =>
  api.seed(
    'Dataplane',
    name,
    { networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': service } }] } },
    { mesh: 'default' },
  );

const items = (json: Record<string, unknown>) => json['items'] as { name: string; state: string }[];

describe('certificates of a mesh', () => {
  it('are paged by the server over 1200 proxies, filtered by state, service, backend and name', async () => {
    // Every tenth is overdue, and one has none.
    const age = (name: string) => (name === 'p-0007' ? undefined : Number(name.slice(2)) % 10 === 0 ? 22 : 1);
    const { api } = await fixture(age);
    const names = Array.from({ length: 1200 }, (_, index) => `p-${String(index).padStart(4, '0')}`);
    for (const name of names) await seedProxy(api, name, Number(name.slice(2)) % 2 === 0 ? 'even' : 'odd');

    const seen: string[] = [];
    let url: string | null = '/meshes/default/_certificates?size=500';
    const sizes: number[] = [];
    while (url !== null) {
      const { status, json } = await api.call('GET', url);
      expect([status, json['total']]).toEqual([200, 1200]);
      for (const item of items(json)) certificateSchema.parse(item);
      sizes.push(items(json).length);
      seen.push(...items(json).map(({ name }) => name));
      const next = json['next'] as string | null;
      url = next === null ? null : new URL(next).pathname + new URL(next).search;
    }
    expect([sizes, seen]).toEqual([[500, 500, 200], names]);

    const count = async (query: string) =>
      (await api.call('GET', `/meshes/default/_certificates?size=1&${query}`)).json['total'];
    expect(await count('state=overdue')).toBe(120);
    expect(await count('state=overdue&service=odd')).toBe(0);
    expect(await count('state=overdue,none')).toBe(121);
    expect(await count('state=overdue&state=none')).toBe(121);
    expect(await count('service=even&backend=ca-1')).toBe(600);
    expect(await count('backend=ca-2')).toBe(0);
    expect(await count('state=valid&name=p-000')).toBe(8);
    expect([await count('expiresIn=20%25'), await count('expiresIn=23h'), await count('expiresIn=1h')]).toEqual([
      120, 1199, 0,
    ]);
  });

  it('have everything one wants to know, and no key', async () => {
    const { api } = await fixture(() => 22);
    await seedProxy(api, 'web-1', 'web');
    const { json, text } = await api.call('GET', '/meshes/default/dataplanes/web-1/_certificate', {
      role: 'anonymous',
    });
    expect(certificateDetailSchema.parse(json)).toMatchObject({
      name: 'web-1',
      state: 'overdue',
      services: ['web'],
      spiffeIds: ['spiffe://default/web'],
      lifeUsed: expect.closeTo(0.917, 2),
      chainPem: 'CHAIN of web-1',
      history: [{ serial: '0a', reason: 'due' }],
    });
    expect(json['secondsLeft']).toBeGreaterThan(7000);
    expect(json['secondsLeft']).toBeLessThanOrEqual(7200);
    expect(text).not.toContain('CANARY');
  });

  it('are refused for what is not there', async () => {
    const { api } = await fixture(() => 1);
    expect((await api.call('GET', '/meshes/none/_certificates')).status).toBe(404);
    expect((await api.call('GET', '/meshes/default/dataplanes/none/_certificate')).status).toBe(404);
    const { status, json } = await api.call('GET', '/meshes/default/_certificates?state=rotten');
    expect(status).toBe(400);
    expect(json['invalid_parameters']).toMatchObject([{ field: 'state' }]);
    const soon = await api.call('GET', '/meshes/default/_certificates?expiresIn=soon');
    expect([soon.status, soon.json['invalid_parameters']]).toMatchObject([400, [{ field: 'expiresIn' }]]);
  });
});

describe('renewal', () => {
  const RENEW = '/meshes/default/_certificates/_renew';

  it('of one, of a service, of a mesh: says how many and how long', async () => {
    const { api, renewed } = await fixture(() => 1);
    for (const name of ['web-1', 'web-2']) await seedProxy(api, name, 'web');
    await seedProxy(api, 'api-1', 'api');
    const one = await api.call('POST', '/meshes/default/dataplanes/web-1/_certificate/_renew', { body: {} });
    expect([one.status, one.json]).toEqual([202, { count: 1, estimateSeconds: 5, requestedAt: expect.any(String) }]);
    const { api: quiet, renewed: quietly } = await fixture(() => 1);
    for (const name of ['web-1', 'web-2']) await seedProxy(quiet, name, 'web');
    await seedProxy(quiet, 'api-1', 'api');
    const service = await quiet.call('POST', RENEW, { body: { service: 'web', backend: 'ca-1' } });
    expect([service.status, service.json]).toMatchObject([202, { count: 2, estimateSeconds: 900 }]);
    const again = await quiet.call('POST', RENEW, { body: { all: true } });
    expect(again.status).toBe(429);
    expect(Number(again.headers['retry-after'])).toBeGreaterThan(30);
    expect(renewed).toMatchObject([{ mesh: 'default', proxy: 'web-1' }]);
    expect(quietly).toMatchObject([{ mesh: 'default', service: 'web', backend: 'ca-1' }]);
  });

  it.each([
    ['nothing', {}, ''],
    ['two targets', { proxy: 'a', all: true }, ''],
    ['no text', { proxy: 1 }, 'proxy'],
    ['an unknown field', { all: true, force: true }, 'force'],
    ['an unknown backend', { all: true, backend: 'ca-9' }, 'backend'],
    ['a service without proxies', { service: 'none' }, 'service'],
  ])('is refused for %s', async (_what, body, field) => {
    const { api, renewed } = await fixture(() => 1);
    await seedProxy(api, 'web-1', 'web');
    const { status, json } = await api.call('POST', RENEW, { body });
    expect([status, renewed]).toEqual([400, []]);
    expect(json['invalid_parameters']).toMatchObject([{ field }]);
  });

  it('is refused without mTLS, for a proxy that is not there, and by an API for reading', async () => {
    const { api } = await fixture(() => 1);
    await api.seed('Mesh', 'plain', {});
    expect((await api.call('POST', '/meshes/plain/_certificates/_renew', { body: { all: true } })).status).toBe(400);
    expect((await api.call('POST', RENEW, { body: { proxy: 'none' } })).status).toBe(404);
    const { api: reading } = await fixture(() => 1, { readOnly: true });
    await seedProxy(reading, 'web-1', 'web');
    expect((await reading.call('POST', RENEW, { body: { all: true } })).status).toBe(405);
  });
});
