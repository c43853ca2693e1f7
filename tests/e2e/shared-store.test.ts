import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { missingPostgres, type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts';
import { startTcpBalancer, type TcpBalancer } from '../../src/testing/tcp-balancer.ts';
import {
  allowAll,
  builtinMesh,
  createTestMesh,
  eventually,
  freePort,
  http,
  startTraffic,
  type TestMesh,
} from './mesh.ts';

const missing = missingPostgres();
if (missing !== undefined && process.env['CI']) throw new Error(`PostgreSQL is needed here: ${missing}`);

let postgres: PostgresServer;
let database: string;
const meshes: TestMesh[] = [];
let balancer: TcpBalancer;

beforeAll(async () => {
  if (missing !== undefined) return;
  postgres = await startPostgres();
  database = await postgres.createDatabase();
  balancer = await startTcpBalancer();
});
afterAll(async () => {
  for (const mesh of meshes.reverse()) await mesh.close();
  await balancer?.close();
  await postgres?.close();
});

async function startReplica(tls: Record<string, unknown>): Promise<TestMesh> {
  const { host, port, user, password } = postgres;
  const mesh = await createTestMesh({
    config: {
      store: { type: 'postgres', postgres: { host, port, user, password, dbName: database } },
      bootstrapServer: { params: { xdsPort: balancer.port } },
      ...tls,
    },
  });
  meshes.push(mesh);
  await mesh.startControlPlane();
  return mesh;
}

it.skipIf(missing !== undefined)(
  'two control planes on one PostgreSQL: one CA, and proxies that change over keep their leaves',
  async () => {
    const first = await startReplica({});
    // The second presents the same certificate, as replicas behind one name do.
    const files = { tlsCertFile: join(first.dir, 'cp', 'server.pem'), tlsKeyFile: join(first.dir, 'cp', 'server.key') };
    const second = await startReplica({ dpServer: { port: await freePort(), ...files } });
    const secondPort = Number(/"dataplane":(\d+)/.exec(second.controlPlaneLog())![1]);

    await Promise.all([first.put(builtinMesh()), second.put(builtinMesh())]);
    await first.put(allowAll());
    const secrets = await second.ok('GET', '/meshes/default/secrets');
    const ofCa = secrets.items.filter(({ name }: { name: string }) => name.includes('.ca-builtin-'));
    expect(ofCa.map(({ name }: { name: string }) => name).sort()).toEqual([
      'default.ca-builtin-cert-ca-1',
      'default.ca-builtin-key-ca-1',
    ]);

    balancer.target = first.ports.dp;
    const service = await first.startService('api');
    const cpPort = balancer.port;
    await first.startProxy({ name: 'api-1', service: 'api', servicePort: service.port, cpPort });
    const web = await first.startProxy({ name: 'web-1', service: 'web', calls: ['api'], cpPort });
    const url = `http://127.0.0.1:${web.outbounds.get('api')}/`;
    await eventually('web reaches api', 30_000, async () => (await http(url)).status === 200);
    const certificates = async () => {
      const { items } = await second.ok('GET', '/meshes/default/dataplanes/_overview');
      return items.map(
        (item: { name: string; dataplaneInsight?: { mTLS?: object; weft?: { certificate?: { serial: string } } } }) => [
          item.name,
          item.dataplaneInsight?.weft?.certificate?.serial,
        ],
      );
    };
    const old = await eventually('both insights are there', 10_000, async () => {
      const found = await certificates();
      return found.length === 2 && found.every(([, serial]: string[]) => serial !== undefined) && found;
    });

    // The one that no proxy is connected to knows their certificates too, and what it is asked to renew is renewed.
    const seen = await second.ok('GET', '/meshes/default/_certificates');
    expect(seen.items.map(({ name, state, serial }: Record<string, unknown>) => [name, state, serial])).toEqual(
      old.map(([name, serial]: string[]) => [name, 'valid', serial]),
    );
    const path = '/meshes/default/dataplanes/web-1/_certificate';
    expect(await second.ok('POST', `${path}/_renew`)).toMatchObject({ count: 1 });
    await eventually('the renewed one is known to both', 30_000, async () => {
      const answers = await Promise.all([first.ok('GET', path), second.ok('GET', path)]);
      return answers.every(({ generation, history }) => generation === 2 && history[0].reason === 'requested');
    });
    const before = await eventually('its insight is there', 10_000, async () => {
      const found = await certificates();
      return found[1][1] !== old[1][1] && found;
    });

    const traffic = startTraffic(url, 100);
    balancer.target = secondPort;
    await first.stopControlPlane('SIGKILL');
    balancer.cut();
    await eventually('the second one serves both proxies', 30_000, async () => {
      const { items } = await second.ok('GET', '/meshes/default/dataplanes/_overview');
      const instance = (await second.ok('GET', '/')).instanceId;
      return items.every(
        (item: {
          dataplaneInsight: { subscriptions: { controlPlaneInstanceId: string; disconnectTime?: string }[] };
        }) => {
          const last = item.dataplaneInsight.subscriptions.at(-1)!;
          return last.controlPlaneInstanceId === instance && last.disconnectTime === undefined;
        },
      );
    });
    await second.put({
      ...allowAll(),
      spec: { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'AllowWithShadowDeny' } }] },
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const result = await traffic.stop();
    expect(result.failures).toEqual([]);
    expect(await certificates()).toEqual(before);
  },
);

it.skipIf(missing !== undefined)(
  'two control planes, a proxy on each: the CA changes and the builtin one is renewed, 0 failed',
  async () => {
    const rotating = 'rotating';
    database = await postgres.createDatabase();
    const first = await startReplica({ bootstrapServer: {} });
    const files = { tlsCertFile: join(first.dir, 'cp', 'server.pem'), tlsKeyFile: join(first.dir, 'cp', 'server.key') };
    const second = await startReplica({ bootstrapServer: {}, dpServer: { port: await freePort(), ...files } });
    const secondPort = Number(/"dataplane":(\d+)/.exec(second.controlPlaneLog())![1]);
    const backends = ['ca-1', 'ca-2'].map((name) => ({ name, type: 'builtin' }));
    await first.put({ type: 'Mesh', name: rotating, mtls: { enabledBackend: 'ca-1', backends } });
    await first.put(allowAll(rotating));
    const service = await first.startService('api');
    // Each request has a handshake of its own: Envoy keeps connections for `http`.
    const tcp = { mesh: rotating, protocol: 'tcp' };
    await first.startProxy({ ...tcp, name: 'api-1', service: 'api', servicePort: service.port });
    const web = await first.startProxy({ ...tcp, name: 'web-1', service: 'web', calls: ['api'], cpPort: secondPort });
    const url = `http://127.0.0.1:${web.outbounds.get('api')}/`;
    await eventually('web reaches api', 30_000, async () => (await http(url)).status === 200);

    await eventually('each is served by another control plane', 30_000, async () => {
      const { items } = await first.ok('GET', `/meshes/${rotating}/dataplanes/_overview`);
      const instances = items.map(
        ({ dataplaneInsight }: { dataplaneInsight?: { subscriptions: { controlPlaneInstanceId: string }[] } }) =>
          dataplaneInsight?.subscriptions.at(-1)?.controlPlaneInstanceId,
      );
      return !instances.includes(undefined) && new Set(instances).size === 2;
    });

    const traffic = startTraffic(url, 100);
    for (const request of [{ to: 'ca-2' }, { renew: true }, { to: 'ca-1', dropOld: true }]) {
      // Only one of them leads; the other takes the request as well.
      await second.ok('POST', `/meshes/${rotating}/_ca-rotation`, request);
      let last: object | undefined;
      await eventually(`rotation ${JSON.stringify(request)}`, 60_000, async () => {
        last = await first.ok('GET', `/meshes/${rotating}/_ca-rotation`);
        return (last as { ended: boolean }).ended;
      }).catch((error: unknown) => Promise.reject(new Error(`${error}: ${JSON.stringify(last)}`)));
      expect(last).toMatchObject({ phase: 'Done', progress: { total: { connected: 2, renewed: 2 } } });
    }
    const result = await traffic.stop();
    expect(result.failures).toEqual([]);
    expect((await first.ok('GET', `/meshes/${rotating}`)).mtls.backends).toHaveLength(1);
    expect(result.sent).toBeGreaterThan(0);
  },
  180_000,
);
