/**
 * Everything that must not cost a request, one after the other, under one load of 200 requests a second between ten Pods, without retries.
 * WEFT_ROTATIONS, WEFT_LIFE_S and WEFT_API_SERVER_AWAY_S make it longer: a soak is 20 rotations of leaves that live 60 s, and 60 s without the API server.
 */
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingCluster } from '../../cluster/binaries.ts';
import { http } from '../mesh.ts';
import {
  ALLOW_ALL,
  APP_PORT,
  createTestCa,
  createWorld,
  eventually,
  pageMesh,
  SHOP,
  SYSTEM,
  type World,
} from './world.ts';

const missing = missingCluster('node');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const LIFE_S = Number(process.env['WEFT_LIFE_S'] ?? 30);
const ROTATIONS = Number(process.env['WEFT_ROTATIONS'] ?? 3);
const API_SERVER_AWAY_MS = Number(process.env['WEFT_API_SERVER_AWAY_S'] ?? 15) * 1000;
const SERVERS = 5;
const CLIENTS = 5;
const TESTS_MS = 1_800_000;

const FAST = { qps: 1000, burst: 1000 };
const conf = { issuerRef: { name: 'my-ca-issuer' } };

describe.skipIf(missing !== undefined)(`under traffic${missing === undefined ? '' : ` (${missing})`}`, () => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld({ replicas: 2 });
    await world.applyIssuer({ name: 'my-ca-issuer', ca: await createTestCa({ subject: 'CN=first-ca', uriSans: [] }) });
    await world.apply(pageMesh({ conf, expiration: `${LIFE_S}s` }), ALLOW_ALL);
    await world.deploy({ name: 'api', count: SERVERS, args: ['server', String(APP_PORT)] });
    await world.deploy({
      name: 'web',
      count: CLIENTS,
      args: ['client', '9999', String(200 / CLIENTS), `http://api.${SHOP}:${APP_PORT}/`],
    });
  }, 1_500_000);

  afterAll(async () => {
    if (world === undefined) return;
    const stats = await world.stats('web').catch(() => []);
    console.log(`requests: ${sum(stats, 'sent')}, failed: ${sum(stats, 'failed')}`);
    await world.close();
  }, 60_000);

  /** No request failed so far; says why when one did. */
  async function expectNoFailure(): Promise<void> {
    const stats = await world.stats('web');
    const failed = sum(stats, 'failed');
    const said = stats.map(({ pod, outcomes, failures }) => ({ pod, outcomes, failures }));
    expect(failed, `failed requests: ${JSON.stringify(said, undefined, 1)}`).toBe(0);
    expect(sum(stats, 'ok')).toBeGreaterThan(0);
  }

  const requests = async () =>
    (await world.json('-n', SYSTEM, 'get', 'certificaterequests')).items as readonly object[];
  const readyCondition = async () =>
    (await world.json('get', 'mesh', 'default')).status?.conditions?.find(
      (one: { type: string }) => one.type === 'Ready',
    );
  const issuers = async () => new Set((await world.leaves('api')).map((leaf) => leaf.issuer));
  const serials = async () => (await world.leaves('api')).map((leaf) => leaf.serialNumber);

  it(`rotates ${ROTATIONS} times`, { timeout: TESTS_MS }, async () => {
    await eventually('traffic flows', 60_000, async () => sum(await world.stats('web'), 'ok') > 200);
    const seen = (await serials()).map((serial) => new Set([serial]));
    const memory = await controlPlaneMemory();
    await eventually(`${ROTATIONS} rotations`, (ROTATIONS + 1) * LIFE_S * 1000, async () => {
      const now = await serials();
      for (const [index, serial] of now.entries()) seen[index]!.add(serial);
      await sleep(1000);
      return seen.every((one) => one.size > ROTATIONS);
    });
    await expectNoFailure();
    console.log(
      `control planes before and after, MB: ${memory.join(', ')} and ${(await controlPlaneMemory()).join(', ')}`,
    );
  });

  it('leaves no CertificateRequest behind', { timeout: 60_000 }, async () => {
    // Some are under way at any time with so short a life; none gets old.
    await eventually('only requests under way', 20_000, async () => (await requests()).length <= 1);
  });

  it("follows the Issuer to another CA: both trusted, then only the new one's", { timeout: TESTS_MS }, async () => {
    const second = await createTestCa({ subject: 'CN=second-ca', uriSans: [] });
    await world.applyIssuer({ name: 'my-ca-issuer', ca: second });
    await eventually('every leaf is of the second CA', LIFE_S * 2000, async () => {
      const now = await issuers();
      return now.size === 1 && now.has('CN=second-ca');
    });
    await expectNoFailure();
    const pod = (await world.pods('web'))[0]!.metadata.name;
    await eventually('Envoy trusts only the second CA', 150_000, async () => {
      const { certificates } = JSON.parse(await world.envoyAdmin(pod, '/certs'));
      const roots = new Set(
        certificates.flatMap(({ ca_cert = [] }: { ca_cert?: { serial_number: string; path: string }[] }) =>
          ca_cert.filter(({ path }) => path === '<inline>').map(({ serial_number }) => serial_number.toLowerCase()),
        ),
      );
      await sleep(1000);
      return (
        roots.has(new X509Certificate(second.pem).serialNumber.toLowerCase().replace(/^0+/, '')) && roots.size <= 2
      );
    });
    await expectNoFailure();
  });

  it('survives the API server', { timeout: TESTS_MS }, async () => {
    await world.apply(pageMesh({ conf, expiration: '30m' }));
    await eventually('leaves live half an hour', 120_000, async () =>
      (await world.leaves('api')).every((leaf) => leaf.validToDate.getTime() - Date.now() > 1_200_000),
    );
    await world.cluster.stopApiServer();
    await sleep(API_SERVER_AWAY_MS);
    await expectNoFailure();
    await world.cluster.startApiServer();
    await eventually('the Mesh is seen again', 60_000, async () => (await readyCondition())?.status === 'True');
    // What is new works at once.
    await world.deploy({ name: 'late', count: 1, args: ['client', '9999', '0'] });
    expect((await world.call('late', `http://api.${SHOP}:${APP_PORT}/`)).status).toBe(200);
    await expectNoFailure();
  });

  it('says that requests are not approved, and goes on when they are', { timeout: TESTS_MS }, async () => {
    await world.cluster.stopCertManager();
    await world.cluster.startCertManager({ ...FAST, approver: false });
    // A shorter life asks for new leaves at once, while the ones held are good for another while.
    await world.apply(pageMesh({ conf, expiration: '8m' }));
    const condition = await eventually('the Mesh says so', 90_000, async () => {
      const one = await readyCondition();
      return one?.status === 'False' && one;
    });
    expect(condition.message).toMatch(/approv/i);
    expect(await world.weft('inspect', 'mesh', 'default', ...(await apiFlags()))).toMatch(/approv/i);
    await expectNoFailure();
    await world.cluster.stopCertManager();
    await world.cluster.startCertManager(FAST);
    await eventually('the Mesh is Ready again', 90_000, async () => (await readyCondition())?.status === 'True');
    await expectNoFailure();
  });

  it('says that the Issuer is gone, and goes on when it is back', { timeout: TESTS_MS }, async () => {
    await world.cluster.kubectl('-n', SYSTEM, 'delete', 'issuer', 'my-ca-issuer');
    const condition = await eventually('the Mesh says so', 60_000, async () => {
      const one = await readyCondition();
      return one?.status === 'False' && one;
    });
    expect(condition.message).toContain('my-ca-issuer');
    const { items } = await world.json('get', 'events', '-A', '--field-selector', 'involvedObject.kind=Mesh');
    expect(items.some((event: { message: string }) => event.message.includes('my-ca-issuer'))).toBe(true);
    await expectNoFailure();
    await world.applyIssuer({ name: 'my-ca-issuer', ca: await createTestCa({ subject: 'CN=third-ca', uriSans: [] }) });
    await eventually('the Mesh is Ready again', 60_000, async () => (await readyCondition())?.status === 'True');
    await world.apply(pageMesh({ conf, expiration: '60s' }));
    await eventually('every leaf is of the third CA', 120_000, async () => {
      const now = await issuers();
      return now.size === 1 && now.has('CN=third-ca');
    });
    await expectNoFailure();
  });

  it('keeps serving while cert-manager is away past the renewal time', { timeout: TESTS_MS }, async () => {
    // All leaves are made anew now, so none is older than the pause.
    await world.apply(pageMesh({ conf, expiration: '50s' }));
    const before = await eventually('every leaf lives 50 s', 60_000, async () => {
      const leaves = await world.leaves('api');
      return leaves.every((leaf) => leaf.validToDate.getTime() - leaf.validFromDate.getTime() < 55_000) && leaves;
    });
    await world.cluster.stopCertManager();
    const oldest = Math.min(...before.map((leaf) => leaf.validToDate.getTime() - 50_000));
    // Leaves are renewed after 70 to 80 % of their life.
    await sleep(Math.max(0, oldest + 0.75 * 50_000 - Date.now()));
    await world.cluster.startCertManager(FAST);
    await eventually('every leaf is another one', 60_000, async () => {
      const now = await serials();
      return now.every((serial) => !before.some((leaf) => leaf.serialNumber === serial));
    });
    await expectNoFailure();
  });

  it('survives its control planes', { timeout: TESTS_MS }, async () => {
    const before = await serials();
    const controlPlanes = ['-n', SYSTEM, '-l', 'app.kubernetes.io/component=control-plane'];
    await world.cluster.kubectl('delete', 'pods', ...controlPlanes, '--force', '--grace-period=0');
    await world.cluster.kubectl('-n', SYSTEM, 'rollout', 'status', 'deployment/weft-control-plane', '--timeout=120s');
    await expectNoFailure();
    await eventually('every leaf is renewed in time', 120_000, async () => {
      const now = await serials();
      return now.every((serial) => !before.includes(serial));
    });
    await expectNoFailure();
  });

  it('comes and goes without a failed request', { timeout: TESTS_MS }, async () => {
    await world.cluster.kubectl('-n', SHOP, 'rollout', 'restart', 'deployment/api');
    await world.cluster.kubectl('-n', SHOP, 'rollout', 'status', 'deployment/api', '--timeout=300s');
    await expectNoFailure();
  });

  async function apiFlags(): Promise<readonly string[]> {
    return ['--cp-address', await controlPlaneApi()];
  }

  async function controlPlaneAddresses(): Promise<readonly string[]> {
    const { items } = await world.json('-n', SYSTEM, 'get', 'pods', '-l', 'app.kubernetes.io/component=control-plane');
    return items.map((pod: { status: { podIP: string } }) => pod.status.podIP);
  }

  async function controlPlaneApi(): Promise<string> {
    return `http://${(await controlPlaneAddresses())[0]}:5681`;
  }

  async function controlPlaneMemory(): Promise<readonly number[]> {
    return Promise.all(
      (await controlPlaneAddresses()).map(async (address) => {
        const { body } = await http(`http://${address}:5680/metrics`);
        return Math.round(Number(/^process_resident_memory_bytes (.*)$/m.exec(body)![1]) / 1e6);
      }),
    );
  }
});

function sum<K extends string>(items: readonly Readonly<Record<K, unknown>>[], key: K): number {
  return items.reduce((total, item) => total + (item[key] as number), 0);
}
