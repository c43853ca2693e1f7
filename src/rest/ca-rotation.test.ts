import { beforeEach, describe, expect, it } from 'vitest';
import { createRestFixture, type RestFixture } from '../testing/rest-fixture.ts';

const PATH = '/meshes/default/_ca-rotation';
const mtls = {
  enabledBackend: 'ca-1',
  backends: [
    { name: 'ca-1', type: 'builtin' },
    { name: 'ca-2', type: 'builtin' },
  ],
};

let api: RestFixture;
beforeEach(async () => {
  api = await createRestFixture();
  await api.seed('Mesh', 'default', { mtls });
});

describe('/meshes/{mesh}/_ca-rotation', () => {
  it('begins a rotation, says where it is, pauses it, and takes it back', async () => {
    expect((await api.call('GET', PATH)).status).toBe(404);
    const begun = await api.call('POST', PATH, { body: { to: 'ca-2', offline: '10m', dropOld: true } });
    expect(begun).toMatchObject({
      status: 201,
      json: {
        mesh: 'default',
        kind: 'switch',
        from: 'ca-1',
        to: 'ca-2',
        phase: 'Trusting',
        ended: false,
        offlineGraceMs: 600_000,
        dropOld: true,
        startedBy: expect.stringContaining('mesh-system:admin'),
        reason: 'Blocked',
        message: 'backend "ca-2" has not said yet what to trust',
        progress: { total: { proxies: 0 }, services: [] },
      },
    });
    const paused = await api.call('POST', PATH, { body: { paused: true } });
    expect(paused).toMatchObject({ status: 200, json: { paused: true, reason: 'Paused' } });
    expect((await api.call('DELETE', PATH)).json).toMatchObject({ phase: 'RollingBack', paused: false });
    expect((await api.call('GET', '/meshes/default/_mtls')).json).toMatchObject({ rotation: { phase: 'RollingBack' } });
  });

  it.each([
    ['an unknown field', { to: 'ca-2', ofline: 'wait' }, 400, 'ofline'],
    ['a wrong type', { to: 7 }, 400, 'to'],
    ['an unknown backend', { to: 'ca-9' }, 400, 'to'],
    ['a wait that is none', { to: 'ca-2', offline: 'soon' }, 400, 'offline'],
    ['a pause that is none', { paused: 'yes' }, 400, 'paused'],
    ['nothing to pause', { paused: true }, 404, undefined],
  ])('refuses %s', async (_what, body, status, field) => {
    const answer = await api.call('POST', PATH, { body });
    expect(answer.status).toBe(status);
    const fields = (answer.json['invalid_parameters'] as { field: string }[] | undefined)?.map((one) => one.field);
    expect(fields).toEqual(field === undefined ? undefined : [field]);
  });

  it('knows no mesh that is not there, and takes nothing back that is not under way', async () => {
    expect((await api.call('POST', '/meshes/nope/_ca-rotation', { body: { to: 'ca-2' } })).status).toBe(404);
    expect((await api.call('DELETE', PATH)).status).toBe(404);
  });
});
