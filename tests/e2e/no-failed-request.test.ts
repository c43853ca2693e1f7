import { afterEach, expect, it } from 'vitest';
import { allowAll, builtinMesh, createTestMesh, eventually, http, startTraffic, type TestMesh } from './mesh.ts';

const PER_SECOND = 200;
/** WEFT_ROTATIONS makes it longer. */
const ROTATIONS = Number(process.env['WEFT_ROTATIONS'] ?? 4);

let mesh: TestMesh;
afterEach(() => mesh?.close());

/** `web` calls `api` through both Envoys, all up and answering. Without `settings` mTLS is off. */
async function webCallsApi(
  settings: Parameters<typeof builtinMesh>[0] | undefined,
  store: 'memory' | 'sqlite' = 'sqlite',
): Promise<string> {
  mesh = await createTestMesh({ store });
  await mesh.startControlPlane();
  if (settings !== undefined) await mesh.put(builtinMesh(settings));
  await mesh.put(allowAll());
  const service = await mesh.startService('api');
  await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: service.port });
  const web = await mesh.startProxy({ name: 'web-1', service: 'web', calls: ['api'] });
  const url = `http://127.0.0.1:${web.outbounds.get('api')}/`;
  await eventually('web reaches api', 30_000, async () => (await http(url)).status === 200);
  return url;
}

async function certificate(proxy: string): Promise<{ regenerations: number; serial: string }> {
  return eventually(`certificate of ${proxy}`, 15_000, async () => {
    const { dataplaneInsight } = await mesh.ok('GET', `/meshes/default/dataplanes/${proxy}/_overview`);
    const regenerations = dataplaneInsight?.mTLS?.certificateRegenerations;
    return regenerations && { regenerations, serial: dataplaneInsight.weft.certificate.serial };
  });
}

it('PERMISSIVE to STRICT and back', async () => {
  const url = await webCallsApi({ mode: 'PERMISSIVE' });
  const traffic = startTraffic(url, PER_SECOND);
  const before = await certificate('api-1');
  // STRICT cuts off whoever does not speak TLS yet, so an operator waits for that too.
  await eventually('web speaks TLS to api', 30_000, async () => {
    const { body } = await mesh.api('GET', '/meshes/default/dataplanes/web-1/stats');
    return /^cluster\.api[^:]*\.ssl\.handshake: [1-9]/m.test(body);
  });
  for (const mode of ['STRICT', 'PERMISSIVE', 'STRICT', 'PERMISSIVE'] as const) {
    await mesh.put(builtinMesh({ mode }));
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
  const result = await traffic.stop();
  expect(result.failures).toEqual([]);
  expect(result.ok).toBe(result.sent);
  expect(result.sent).toBeGreaterThan(PER_SECOND * 10);
  // The mode concerns no leaf: none was issued again.
  expect(await certificate('api-1')).toEqual(before);
});

it('mTLS off to PERMISSIVE, STRICT, PERMISSIVE and off again', async () => {
  const url = await webCallsApi(undefined);
  const traffic = startTraffic(url, PER_SECOND);
  const off = { type: 'Mesh', name: 'default' };
  for (const step of [
    builtinMesh({ mode: 'PERMISSIVE' }),
    builtinMesh({ mode: 'STRICT' }),
    builtinMesh({ mode: 'PERMISSIVE' }),
    off,
  ]) {
    await mesh.put(step);
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
  const result = await traffic.stop();
  expect(result.failures).toEqual([]);
  expect(result.ok).toBe(result.sent);
});

it(`${ROTATIONS} rotations of 20 s leaves`, async () => {
  const url = await webCallsApi({ expiration: '20s' });
  const traffic = startTraffic(url, PER_SECOND);
  await eventually('the rotations of both proxies', (ROTATIONS + 1) * 20_000, async () => {
    const [web, api] = await Promise.all([certificate('web-1'), certificate('api-1')]);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return web.regenerations > ROTATIONS && api.regenerations > ROTATIONS;
  });
  const result = await traffic.stop();
  expect(result.failures).toEqual([]);
  expect(result.ok).toBe(result.sent);
}, 1_800_000);

it('kill -9 of the control plane: traffic goes on, the same leaves come back, none is issued again', async () => {
  const url = await webCallsApi({});
  const before = await Promise.all([certificate('web-1'), certificate('api-1')]);
  const traffic = startTraffic(url, PER_SECOND);
  for (let round = 0; round < 2; round += 1) {
    await mesh.stopControlPlane('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await mesh.startControlPlane();
    await eventually('both proxies are back', 30_000, async () => {
      const { items } = await mesh.ok('GET', '/meshes/default/dataplanes/_overview');
      return (
        items.length === 2 &&
        items.every(
          (item: {
            dataplaneInsight?: {
              subscriptions?: { disconnectTime?: string; status?: { total?: { responsesAcknowledged?: string } } }[];
            };
          }) => {
            const last = item.dataplaneInsight?.subscriptions?.at(-1);
            return last !== undefined && last.disconnectTime === undefined;
          },
        )
      );
    });
  }
  // Still works as a control plane: a policy change reaches the proxies.
  await mesh.put({
    ...allowAll(),
    spec: { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'AllowWithShadowDeny' } }] },
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const result = await traffic.stop();
  expect(result.failures).toEqual([]);
  expect(result.ok).toBe(result.sent);
  expect(await Promise.all([certificate('web-1'), certificate('api-1')])).toEqual(before);
});
