import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { certManagerCa } from '../../../src/ca/certmanager/backend.ts';
import { rehearse } from '../../../src/identity/rehearsal.ts';
import type { LeafRecord } from '../../../src/identity/sealed.ts';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { describeCaBackend } from '../../../src/testing/ca-contract.ts';
import {
  approval,
  denied,
  type FakeIssuer,
  type FakeStatus,
  startFakeIssuer,
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
/** Somebody who approves, and approver-policy's definition as far as it is pasted. Source: approver-policy v0.24 `CertificateRequestPolicy`. */
const strings = { type: 'array', items: { type: 'string' } };
const POLICY_SCHEMA = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['selector'],
      properties: {
        allowed: {
          type: 'object',
          properties: {
            uris: { type: 'object', properties: { values: strings, required: { type: 'boolean' } } },
            usages: {
              type: 'array',
              items: { type: 'string', enum: ['digital signature', 'key encipherment', 'server auth', 'client auth'] },
            },
          },
        },
        selector: {
          type: 'object',
          properties: {
            issuerRef: {
              type: 'object',
              properties: { name: { type: 'string' }, kind: { type: 'string' }, group: { type: 'string' } },
            },
            namespace: { type: 'object', properties: { matchNames: strings } },
          },
        },
      },
    },
  },
};
const APPROVER = [
  {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'certificaterequestpolicies.policy.cert-manager.io' },
    spec: {
      group: 'policy.cert-manager.io',
      scope: 'Cluster',
      names: {
        plural: 'certificaterequestpolicies',
        singular: 'certificaterequestpolicy',
        kind: 'CertificateRequestPolicy',
      },
      versions: [{ name: 'v1alpha1', served: true, storage: true, schema: { openAPIV3Schema: POLICY_SCHEMA } }],
    },
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'approver' },
    rules: [
      { apiGroups: ['cert-manager.io'], resources: ['certificaterequests'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: ['cert-manager.io'], resources: ['certificaterequests/status'], verbs: ['patch'] },
      { apiGroups: ['cert-manager.io'], resources: ['signers'], verbs: ['approve'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'approver' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'approver' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'approver' }],
  },
];
const OWN = '-l=app.kubernetes.io/managed-by=weft-control-plane';

describe.skipIf(missing !== undefined)(`certmanager${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let kubeconfig: string;

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', audit: true, certManager: { webhook: true } });
    await applyRights(cluster);
    await applyIssuer(cluster);
    kubeconfig = await cluster.kubeconfigFor({ serviceAccount: 'weft-control-plane', namespace: NAMESPACE });
  }, 1_200_000);
  afterAll(() => cluster?.stop());
  // Whatever they went through.
  afterAll(() => eventually(async () => expect(await requestsLeft()).toEqual([])));

  async function requestsLeft(): Promise<string[]> {
    const text = await cluster.kubectl('get', 'certificaterequests', '-n', NAMESPACE, OWN, '-o', 'name');
    return text.split('\n').filter((line) => line !== '');
  }
  const open = (options: Partial<Parameters<typeof createWorld>[0]> = {}): Promise<World> =>
    createWorld({ kubeconfig, ...options });
  const stateIn = (world: World, proxy = 'web-1', mesh = 'default') => world.identity.state({ mesh, name: proxy });
  const leafOf = (world: World, proxy?: string, mesh?: string) => stateIn(world, proxy, mesh).leaf;
  const failureOf = (world: World, proxy?: string, mesh?: string) => stateIn(world, proxy, mesh).failure;
  const stateOf = (world: World, mesh = 'default') => world.identity.backends(mesh)[0];
  /** Other names: the leaf a proxy has is not the one it must have. */
  const OTHER_NAMES = { uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web', 'kuma://v/2'] };

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

    it('is rehearsed up to a handshake, and says which issuer is missing', async () => {
      const rehearsalOf = (conf: Record<string, unknown>) =>
        rehearse({
          kind: certManagerCa,
          config: { mesh: 'default', name: 'certmanager-1', type: 'certmanager', conf },
          path: 'mtls.backends[0].conf',
          deps: made.deps,
          clock: systemClock,
          timeoutMs: 60_000,
        });
      const good = await rehearsalOf(PAGE);
      expect(good).toMatchObject({ ok: true, findings: [] });
      expect(good.steps.map(({ name }) => name)).toEqual(['issue', 'check', 'handshake']);
      const bad = await rehearsalOf({ issuerRef: { name: 'not-there' } });
      expect(bad.findings).toMatchObject([
        { field: 'mtls.backends[0].conf', message: expect.stringContaining('not-there') },
      ]);
    });
  });

  describe('with cert-manager as it is installed', () => {
    it.concurrent('issues to many proxies with two calls for each, and reads no Secret', async () => {
      await using world = await open();
      world.identity.setMesh('default', mtlsOf(PAGE));
      const proxies = Array.from({ length: 50 }, (_, index) => `web-${index}`);
      for (const proxy of proxies) world.want(proxy);
      await eventually(() => expect(proxies.filter((proxy) => !leafOf(world, proxy))).toEqual([]), 30_000);
      // One more: the question for the CA.
      expect(world.client.calls.get('create certificaterequests')).toBe(51);
      await eventually(() => expect(world.client.calls.get('delete certificaterequests')).toBe(51));
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

    it.concurrent('renews leaves of ten seconds, and follows a CA that is replaced under an unchanged Mesh', async () => {
      const first = await applyIssuer(cluster, 'rotating');
      await using world = await open();
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

    it.concurrent('asks nothing of an issuer that is not there, and begins when it is', async () => {
      await using world = await open();
      world.identity.setMesh('default', mtlsOf({ issuerRef: { name: 'my-ca-isuer' } }));
      world.want('web-1');
      await eventually(
        () => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'IssuerNotFound' }),
        5000,
      );
      expect(stateOf(world)?.message).toMatch(/did you mean "my-ca-issuer"\?/);
      expect(world.client.calls.get('create certificaterequests')).toBeUndefined();
      await applyIssuer(cluster, 'my-ca-isuer');
      await eventually(() => expect(leafOf(world)).toBeDefined(), 10_000);
      expect(stateOf(world)).toMatchObject({ state: 'Ready' });
      const { serial } = leafOf(world)!;
      await cluster.kubectl('delete', 'issuer', 'my-ca-isuer', '-n', NAMESPACE);
      await eventually(
        () => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'IssuerNotFound' }),
        5000,
      );
      expect(leafOf(world)?.serial).toBe(serial);
    }, 60_000);

    it.concurrent('knows the issuers that cannot sign for a mesh', async () => {
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
      await using world = await open();
      for (const [name, reason] of [
        ['self', 'UnsupportedIssuer'],
        ['broken', 'IssuerNotReady'],
      ] as const) {
        world.identity.setMesh('default', mtlsOf({ issuerRef: { name } }));
        await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason }));
      }
      expect(world.client.calls.get('create certificaterequests')).toBeUndefined();
    });
  });

  it('finishes after a kill what was under way, and issues nothing twice', async () => {
    const shared = { records: new Map<string, LeafRecord>(), sealingKey: randomBytes(32) };
    const killed = await createWorld({ kubeconfig, ...shared });
    killed.identity.setMesh('default', mtlsOf(PAGE));
    killed.want('web-0');
    await eventually(() => expect(leafOf(killed, 'web-0')).toBeDefined());
    await eventually(() => expect(shared.records.size).toBe(1));
    await cluster.stopCertManager();
    // As many as are asked for at once after a start.
    const proxies = Array.from({ length: 8 }, (_, index) => `web-${index + 1}`);
    for (const proxy of proxies) killed.want(proxy);
    await eventually(async () => expect(await requestsLeft()).toHaveLength(8), 20_000);
    const names = (await requestsLeft()).sort();
    // As kill -9: its connections end, it cleans nothing up.
    await killed.client.close();

    await using world = await open(shared);
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

  it('F7 certmanager: keeps the leaf while cert-manager is down, says what it waits for, and heals by itself', async () => {
    await using world = await open();
    world.identity.setMesh('default', mtlsOf(PAGE));
    world.want('web-1');
    await eventually(() => expect(leafOf(world)).toBeDefined());
    const { serial } = leafOf(world)!;
    await cluster.stopCertManager();
    world.want('web-1', OTHER_NAMES);
    await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'NotApproved' }), 30_000);
    expect(leafOf(world)?.serial).toBe(serial);
    expect(await requestsLeft()).toHaveLength(1);
    await cluster.startCertManager();
    await eventually(() => expect(leafOf(world)?.serial).not.toBe(serial), 30_000);
    expect(stateOf(world)).toMatchObject({ state: 'Ready' });
  }, 90_000);

  it('keeps the leaf while the API server is down, and heals by itself', async () => {
    await using world = await open();
    world.identity.setMesh('default', mtlsOf(PAGE));
    world.want('web-1');
    await eventually(() => expect(leafOf(world)).toBeDefined());
    const { serial } = leafOf(world)!;
    await cluster.stopApiServer();
    world.want('web-1', OTHER_NAMES);
    await eventually(() => expect(failureOf(world)?.message).toMatch(/API server/), 20_000);
    expect(leafOf(world)?.serial).toBe(serial);
    await cluster.startApiServer();
    await eventually(() => expect(leafOf(world)?.serial).not.toBe(serial), 40_000);
    await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Ready' }));
  }, 120_000);

  describe('whose own approver is off', () => {
    let denier: KubeClient;
    let approver: FakeIssuer;
    /** What the approver says to the requests of a mesh; nothing without an entry. */
    const words = new Map<string, () => FakeStatus>();
    beforeAll(async () => {
      await cluster.stopCertManager();
      await cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: APPROVER }));
      await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all');
      const approverKubeconfig = await cluster.kubeconfigFor({ user: 'approver' });
      denier = await connectKubernetes({ env: { KUBECONFIG: approverKubeconfig } });
      await cluster.startCertManager({ approver: false });
      approver = await startFakeIssuer({
        client: denier,
        namespace: NAMESPACE,
        group: 'cert-manager.io',
        behaviour: async ({ metadata: { labels } }) => [words.get(labels?.['kuma.io/mesh'] ?? '')?.() ?? {}],
      });
    });
    afterAll(async () => {
      await approver?.close();
      await denier?.close();
    });
    /** Applies what a problem says to paste, on trial. */
    const applies = (fix = '') => cluster.applyYaml(fix, '--dry-run=server', '--validate=strict');

    it.concurrent('F7 certmanager: never approved: says what an approver needs, as manifests that can be applied', async () => {
      await using world = await open();
      world.identity.setMesh('silent', mtlsOf(PAGE));
      world.identity.setMesh('silent-external', mtlsOf(EXTERNAL));
      const is = (mesh: string) =>
        eventually(() => expect(stateOf(world, mesh)).toMatchObject({ reason: 'NotApproved' }), 20_000);
      await Promise.all([is('silent'), is('silent-external')]);
      expect(await applies(stateOf(world, 'silent')?.fix)).toMatch(
        /certificaterequestpolicy.* created[\s\S]*role.* created[\s\S]*rolebinding.* created/,
      );
      expect(await applies(stateOf(world, 'silent-external')?.fix)).toMatch(
        /clusterrole.*created[\s\S]*clusterrolebinding/,
      );
    }, 40_000);

    it.concurrent('F7 certmanager: denied: the approver is asked by one proxy for all until it says yes; another mesh goes on', async () => {
      const ca = await cluster.kubectl('get', 'secret', 'my-ca-issuer-ca', '-n', NAMESPACE, '-o', 'json');
      const caCert = { inlineString: Buffer.from(JSON.parse(ca).data['tls.crt'], 'base64').toString() };
      words.set('fine', approval);
      words.set('default', denied);
      await using world = await open();
      for (const mesh of ['default', 'fine']) world.identity.setMesh(mesh, mtlsOf({ ...PAGE, caCert }));
      const proxies = Array.from({ length: 8 }, (_, index) => `web-${index}`);
      for (const proxy of proxies) world.want(proxy);
      world.want('web-1', { lifetimeMs: 10_000 }, 'fine');
      await eventually(() => expect(proxies.every((proxy) => failureOf(world, proxy))).toBe(true), 20_000);
      expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'RequestDenied' });
      expect(await applies(stateOf(world)?.fix)).toMatch(/certificaterequestpolicy/);
      // The policy is mended; nobody touches the Mesh.
      words.set('default', approval);
      const { nextAttemptAt } = failureOf(world, 'web-0')!;
      await eventually(() => expect(proxies.filter((proxy) => !leafOf(world, proxy))).toEqual([]), 30_000);
      expect(Date.now() - nextAttemptAt).toBeLessThan(10_000);
      expect(stateOf(world)).toMatchObject({ state: 'Ready' });
      expect(world.events.filter(({ kind }) => kind === 'failure')).toHaveLength(8);
      const ofFine = world.events.filter((event) => event.kind === 'leaf' && event.proxy.mesh === 'fine').length;
      expect(world.client.calls.get('create certificaterequests')).toBe(8 + 8 + ofFine);
      expect(leafOf(world, 'web-1', 'fine')!.notAfter).toBeGreaterThan(Date.now());
    }, 60_000);
  });
});
