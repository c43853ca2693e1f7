import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { certManagerCa } from '../../../src/ca/certmanager/backend.ts';
import type { LeafRecord } from '../../../src/identity/sealed.ts';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { describeCaBackend } from '../../../src/testing/ca-contract.ts';
import { createTestCa } from '../../../src/testing/certificates.ts';
import {
  denied,
  type FakeIssuer,
  failed,
  garbage,
  invalid,
  startFakeIssuer,
  wellBehaved,
} from '../../../src/testing/fakes/certificate-issuer.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import {
  applyIssuer,
  applyRights,
  createDependencies,
  createWorld,
  mtlsOf,
  NAMESPACE,
  type World,
} from './cert-manager-world.ts';

const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const PAGE = { issuerRef: { name: 'my-ca-issuer', kind: 'Issuer', group: 'cert-manager.io' } };
const EXTERNAL = { issuerRef: { name: 'any', kind: 'FakeIssuer', group: 'fake.example' } };
const eventually = <T>(check: () => T, timeout = 10_000) => vi.waitFor(check, { timeout, interval: 50 });
const FAKE_ISSUERS = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'fakeissuers.fake.example' },
  spec: {
    group: 'fake.example',
    scope: 'Namespaced',
    names: { plural: 'fakeissuers', singular: 'fakeissuer', kind: 'FakeIssuer' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
};
const OWN = '-l=app.kubernetes.io/managed-by=weft-control-plane';

describe.skipIf(missing !== undefined)(`certmanager${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let kubeconfig: string;
  let admin: KubeClient;
  const worlds: World[] = [];

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', audit: true, certManager: { webhook: true } });
    await applyRights(cluster);
    await applyIssuer(cluster);
    kubeconfig = await cluster.kubeconfigFor({ serviceAccount: 'weft-control-plane', namespace: NAMESPACE });
    admin = await connectKubernetes({ env: { KUBECONFIG: cluster.kubeconfig } });
  }, 1_200_000);
  afterAll(async () => {
    await admin?.close();
    await cluster?.stop();
  });
  afterEach(async () => {
    for (const world of worlds.splice(0)) await world.close();
    await eventually(async () => expect(await requestsLeft()).toEqual([]));
  });

  async function requestsLeft(): Promise<string[]> {
    const text = await cluster.kubectl('get', 'certificaterequests', '-n', NAMESPACE, OWN, '-o', 'name');
    return text.split('\n').filter((line) => line !== '');
  }
  async function open(options: Partial<Parameters<typeof createWorld>[0]> = {}): Promise<World> {
    const world = await createWorld({ kubeconfig, ...options });
    worlds.push(world);
    return world;
  }
  const leafOf = (world: World, proxy = 'web-1') => world.identity.state({ mesh: 'default', name: proxy }).leaf;
  const failureOf = (world: World, proxy = 'web-1') => world.identity.state({ mesh: 'default', name: proxy }).failure;
  const stateOf = (world: World) => world.identity.backends('default')[0];

  describe('the contract of a CA backend', () => {
    let client: KubeClient;
    let made: ReturnType<typeof createDependencies>;
    beforeAll(async () => {
      client = await connectKubernetes({ env: { KUBECONFIG: kubeconfig } });
      made = createDependencies(client);
    });
    afterAll(async () => {
      await made?.certManager.close();
      await client?.close();
    });
    describeCaBackend('certmanager', async () => ({
      kind: certManagerCa,
      config: { mesh: 'default', name: 'certmanager-1', type: 'certmanager', conf: PAGE },
      deps: made.deps,
    }));
  });

  it('issues to many proxies with two calls for each, and reads no Secret', async () => {
    const world = await open();
    world.identity.setMesh('default', mtlsOf(PAGE));
    const proxies = Array.from({ length: 50 }, (_, index) => `web-${index}`);
    for (const proxy of proxies) world.want(proxy);
    await eventually(() => expect(proxies.filter((proxy) => !leafOf(world, proxy))).toEqual([]), 30_000);
    await eventually(async () => expect(await requestsLeft()).toEqual([]));
    // One more: the question for the CA.
    expect(world.client.calls.get('create certificaterequests')).toBe(51);
    expect(world.client.calls.get('delete certificaterequests')).toBe(51);
    expect(
      [...world.client.calls]
        .filter(([call]) => / certificaterequests/.test(call))
        .map(([call]) => call)
        .sort(),
    ).toEqual([
      'create certificaterequests',
      'delete certificaterequests',
      'list certificaterequests',
      'watch certificaterequests',
    ]);
    expect(stateOf(world)).toMatchObject({ state: 'Ready', roots: [{ subject: 'CN=my-ca-issuer', current: true }] });
    const user = `system:serviceaccount:${NAMESPACE}:weft-control-plane`;
    const read = cluster.audit!.events().filter((event) => event.user?.username === user);
    expect(read.length).toBeGreaterThan(100);
    expect(read.filter((event) => event.objectRef?.resource === 'secrets')).toEqual([]);
  });

  it('renews leaves of ten seconds, and follows a CA that is replaced under an unchanged Mesh', async () => {
    const first = await applyIssuer(cluster, 'rotating');
    const world = await open();
    world.identity.setMesh('default', mtlsOf({ issuerRef: { name: 'rotating' } }));
    const proxies = Array.from({ length: 5 }, (_, index) => `web-${index}`);
    for (const proxy of proxies) world.want(proxy, { lifetimeMs: 10_000 });
    await eventually(() => expect(proxies.filter((proxy) => !leafOf(world, proxy))).toEqual([]), 20_000);
    expect(world.identity.bundle('default')?.pem).toBe(first.pem);
    const second = await applyIssuer(cluster, 'rotating');
    const both = () => world.events.flatMap((event) => (event.kind === 'bundle' ? [event.bundle?.pem ?? ''] : []));
    await eventually(() => expect(both().at(-1)).toBe(second.pem), 40_000);
    const bundles = both();
    expect(bundles).toHaveLength(3);
    expect(bundles[1]).toContain(first.pem);
    expect(bundles[1]).toContain(second.pem);
    for (const proxy of proxies) expect(leafOf(world, proxy)?.anchorPem).toBe(second.pem);
    const order = world.events.filter((event) => event.kind !== 'backends');
    const firstNewLeaf = order.findIndex((event) => event.kind === 'leaf' && event.leaf.anchorPem === second.pem);
    const bothTrusted = order.findIndex((event) => event.kind === 'bundle' && event.bundle?.pem === bundles[1]);
    expect(bothTrusted).toBeLessThan(firstNewLeaf);
    expect(world.events.filter((event) => event.kind === 'failure')).toEqual([]);
    for (const proxy of proxies) expect(leafOf(world, proxy)!.notAfter).toBeGreaterThan(Date.now());
  }, 90_000);

  it('finishes after a kill what was under way, and issues nothing twice', async () => {
    const shared = { records: new Map<string, LeafRecord>(), sealingKey: randomBytes(32) };
    const killed = await createWorld({ kubeconfig, ...shared });
    killed.identity.setMesh('default', mtlsOf(PAGE));
    killed.want('web-0');
    await eventually(() => expect(leafOf(killed, 'web-0')).toBeDefined());
    await eventually(() => expect(shared.records.size).toBe(1));
    await cluster.stopCertManager();
    const proxies = Array.from({ length: 20 }, (_, index) => `web-${index + 1}`);
    for (const proxy of proxies) killed.want(proxy);
    await eventually(async () => expect(await requestsLeft()).toHaveLength(20), 20_000);
    const names = (await requestsLeft()).sort();
    // As kill -9: its connections end, it cleans nothing up.
    await killed.client.close();

    const world = await open(shared);
    world.identity.setMesh('default', mtlsOf(PAGE));
    for (const proxy of ['web-0', ...proxies]) world.want(proxy);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect((await requestsLeft()).sort()).toEqual(names);
    await cluster.startCertManager();
    await eventually(() => expect(proxies.filter((proxy) => !leafOf(world, proxy))).toEqual([]), 40_000);
    expect(world.client.calls.get('create certificaterequests')).toBeUndefined();
    expect(leafOf(world, 'web-0')?.serial).toBe(leafOf(killed, 'web-0')?.serial);
    await killed.close();
  }, 90_000);

  it('keeps the leaf while cert-manager is down, says what it waits for, and heals by itself', async () => {
    const world = await open();
    world.identity.setMesh('default', mtlsOf(PAGE));
    world.want('web-1', { lifetimeMs: 20_000, requestTimeoutMs: 7000 });
    await eventually(() => expect(leafOf(world)).toBeDefined());
    await cluster.stopCertManager();
    const { serial } = leafOf(world)!;
    await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'NotApproved' }), 30_000);
    expect(leafOf(world)?.serial).toBe(serial);
    expect(await requestsLeft()).toHaveLength(1);
    await cluster.startCertManager();
    await eventually(() => expect(leafOf(world)?.serial).not.toBe(serial), 30_000);
    expect(stateOf(world)).toMatchObject({ state: 'Ready' });
  }, 90_000);

  it('keeps the leaf while the API server is down, and heals by itself', async () => {
    const world = await open();
    world.identity.setMesh('default', mtlsOf(PAGE));
    world.want('web-1', { lifetimeMs: 10_000 });
    await eventually(() => expect(leafOf(world)).toBeDefined());
    await cluster.stopApiServer();
    const { serial } = leafOf(world)!;
    await eventually(() => expect(failureOf(world)?.message).toMatch(/API server/), 20_000);
    expect(leafOf(world)?.serial).toBe(serial);
    await cluster.startApiServer();
    await eventually(() => expect(leafOf(world)?.serial).not.toBe(serial), 40_000);
    await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Ready' }));
  }, 120_000);

  it('asks nothing of an issuer that is not there, and begins when it is', async () => {
    const world = await open();
    world.identity.setMesh('default', mtlsOf({ issuerRef: { name: 'my-ca-isuer' } }));
    world.want('web-1');
    await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'IssuerNotFound' }), 2000);
    expect(stateOf(world)?.message).toMatch(/did you mean "my-ca-issuer"\?/);
    expect(world.client.calls.get('create certificaterequests')).toBeUndefined();
    await applyIssuer(cluster, 'my-ca-isuer');
    await eventually(() => expect(leafOf(world)).toBeDefined(), 5000);
    expect(stateOf(world)).toMatchObject({ state: 'Ready' });
    const { serial } = leafOf(world)!;
    await cluster.kubectl('delete', 'issuer', 'my-ca-isuer', '-n', NAMESPACE);
    await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'IssuerNotFound' }), 2000);
    expect(leafOf(world)?.serial).toBe(serial);
  }, 60_000);

  it('knows the issuers that cannot sign for a mesh', async () => {
    const items = [
      { metadata: { name: 'self' }, spec: { selfSigned: {} } },
      { metadata: { name: 'broken' }, spec: { ca: { secretName: 'none' } } },
    ].map(({ metadata, spec }) => ({
      apiVersion: 'cert-manager.io/v1',
      kind: 'Issuer',
      metadata: { ...metadata, namespace: NAMESPACE },
      spec,
    }));
    await cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const world = await open();
    for (const [name, reason] of [
      ['self', 'UnsupportedIssuer'],
      ['broken', 'IssuerNotReady'],
    ] as const) {
      world.identity.setMesh('default', mtlsOf({ issuerRef: { name } }));
      await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason }));
    }
    expect(world.client.calls.get('create certificaterequests')).toBeUndefined();
  });

  describe('an external issuer', () => {
    let issuer: FakeIssuer;
    beforeAll(async () => {
      // cert-manager's webhook lets nobody approve for a signer whose kind does not exist.
      await cluster.applyYaml(JSON.stringify(FAKE_ISSUERS));
      await cluster.kubectl('wait', '--for=condition=Established', 'crd/fakeissuers.fake.example');
      issuer = await startFakeIssuer({ client: admin, namespace: NAMESPACE, group: 'fake.example' });
    });
    afterAll(() => issuer?.close());

    it('signs like any other', async () => {
      issuer.behaviour = wellBehaved;
      const world = await open();
      world.identity.setMesh('default', mtlsOf(EXTERNAL));
      world.want('web-1');
      await eventually(() => expect(leafOf(world), issuer.refusals.join()).toBeDefined());
    });

    it.each(garbage.map(([name, behaviour, usable]) => ({ name, behaviour, usable })))(
      'that answers with $name takes no good leaf away',
      async ({ behaviour, usable }) => {
        issuer.behaviour = wellBehaved;
        const world = await open();
        world.identity.setMesh('default', mtlsOf({ ...EXTERNAL, caCert: { inlineString: issuer.ca.pem } }));
        world.want('web-1');
        await eventually(() => expect(leafOf(world)).toBeDefined());
        const { serial } = leafOf(world)!;
        issuer.behaviour = behaviour;
        // Other names: the leaf it has is not the one it must have.
        world.want('web-1', { uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web', 'kuma://v/2'] });
        if (usable) await eventually(() => expect(leafOf(world)?.serial).not.toBe(serial));
        else {
          await eventually(() => expect(failureOf(world)).toMatchObject({ attempts: 1 }));
          expect(leafOf(world)?.serial).toBe(serial);
          expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'InvalidAnswer' });
        }
      },
    );

    it.each([
      ['denied', denied, 'RequestDenied', 7999],
      ['invalid', invalid, 'RequestInvalid', 7999],
      ['failed', failed, 'RequestFailed', 3000],
    ] as const)(
      'that calls requests %s is told at once, and asked again in its own time',
      async (_what, status, reason, pause) => {
        issuer.behaviour = async () => [status()];
        // What is approved already cannot be denied.
        if (reason === 'RequestDenied') await cluster.stopCertManager();
        const world = await open();
        world.identity.setMesh('default', mtlsOf({ ...EXTERNAL, caCert: { inlineString: issuer.ca.pem } }));
        world.want('web-1');
        await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason }), 2000);
        const { at, nextAttemptAt } = failureOf(world)!;
        expect(nextAttemptAt - at).toBeGreaterThan(pause);
        if (reason === 'RequestDenied') await cluster.startCertManager();
        // A change of the Mesh ends the pause.
        issuer.behaviour = wellBehaved;
        world.identity.setMesh(
          'default',
          mtlsOf({ ...EXTERNAL, caCert: { inlineString: issuer.ca.pem }, dnsNames: ['web'] }),
        );
        await eventually(() => expect(leafOf(world)).toBeDefined());
      },
    );

    it('whose requests are deleted is asked again soon, one at a time', async () => {
      issuer.behaviour = async (request) => {
        await cluster.kubectl('delete', 'certificaterequest', request.metadata.name, '-n', NAMESPACE);
        return [];
      };
      const world = await open();
      world.identity.setMesh('default', mtlsOf({ ...EXTERNAL, caCert: { inlineString: issuer.ca.pem } }));
      world.want('web-1');
      await eventually(() => expect(failureOf(world)?.message).toMatch(/somebody deleted/));
      issuer.behaviour = wellBehaved;
      await eventually(() => expect(leafOf(world)).toBeDefined(), 10_000);
      expect(world.client.calls.get('create certificaterequests')).toBe(2);
    }, 20_000);

    it('that names another CA with every answer is not followed for ever', async () => {
      issuer.behaviour = async (request, sign) => {
        const ca = await createTestCa();
        return wellBehaved(request, (change) => sign(change, ca), ca);
      };
      const world = await open();
      world.identity.setMesh('default', mtlsOf(EXTERNAL));
      const proxies = Array.from({ length: 12 }, (_, index) => `web-${index}`);
      for (const proxy of proxies) world.want(proxy);
      await eventually(() => expect(world.events.some((event) => event.kind === 'failure')).toBe(true), 20_000);
      expect(world.identity.bundle('default')!.pem.match(/BEGIN/g)!.length).toBeLessThanOrEqual(9);
    }, 30_000);
  });
});
