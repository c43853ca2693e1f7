import { describe, expect, it } from 'vitest';
import { createRestFixture } from '../testing/rest-fixture.ts';
import type { DistrustRequest } from './distrust-source.ts';

async function fixture(options: { readOnly?: boolean } = {}) {
  const asked: DistrustRequest[] = [];
  const lifted: string[] = [];
  const api = await createRestFixture({
    ...options,
    distrust: {
      async add(_mesh, request) {
        asked.push(request);
        if (request.name === 'enabled') return [{ field: 'backend', message: 'issues' }];
        const entry = { ...request, at: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z', certificates: [] };
        return { entry, effect: { kind: 'revoked' } };
      },
      async lift(_mesh, kind, name) {
        lifted.push(`${kind}/${name}`);
        return name === 'web';
      },
    },
  });
  await api.seed('Mesh', 'default', {
    mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] },
  });
  return { api, asked, lifted };
}
const PATH = '/meshes/default/_distrust';

describe('POST _distrust', () => {
  it('takes a serial as people have it', async () => {
    const { api, asked } = await fixture();
    const { status, json } = await api.call('POST', PATH, { body: { serial: '0A:FF', reason: 'leak' } });
    expect([status, asked]).toEqual([200, [{ kind: 'leaf', name: '0aff', reason: 'leak', by: 'mesh-system:admin' }]]);
    expect(json).toMatchObject({
      kind: 'leaf',
      effect: 'revoked',
      certificates: 0,
      message: expect.stringContaining('Every proxy refuses'),
    });
  });

  it.each([
    [{}, ''],
    [{ serial: '0a', service: 'web' }, ''],
    [{ serial: 'xyz' }, 'serial'],
    [{ service: '' }, 'service'],
    [{ service: 'web', proxy: 'web-1' }, 'proxy'],
    [{ backend: 'enabled' }, 'backend'],
  ])('refuses %j at field "%s"', async (body, field) => {
    const { api } = await fixture();
    const { status, json } = await api.call('POST', PATH, { body });
    expect(status).toBe(400);
    expect(json['invalid_parameters']).toEqual(expect.arrayContaining([expect.objectContaining({ field })]));
  });

  it('is nothing for an API that is for reading', async () => {
    const { api } = await fixture({ readOnly: true });
    expect((await api.call('POST', PATH, { body: { service: 'web' } })).status).toBe(405);
    expect((await api.call('DELETE', `${PATH}/service/web`)).status).toBe(405);
  });
});

describe('DELETE _distrust', () => {
  it('lifts what there is', async () => {
    const { api, lifted } = await fixture();
    expect((await api.call('DELETE', `${PATH}/service/web`)).status).toBe(200);
    expect((await api.call('DELETE', `${PATH}/service/other`)).status).toBe(404);
    expect((await api.call('DELETE', `${PATH}/anything/web`)).status).toBe(404);
    expect(lifted).toEqual(['service/web', 'service/other']);
  });
});
