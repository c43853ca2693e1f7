/** F4, F5 and F7 of docs/reliability.md for certmanager: an API server that fails, and an issuer's controller that answers as it should not. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { createTestCa } from '../../../src/testing/certificates.ts';
import {
  type FakeIssuer,
  failed,
  garbage,
  type IssuerBehaviour,
  invalid,
  issued,
  startFakeIssuer,
  wellBehaved,
} from '../../../src/testing/fakes/certificate-issuer.ts';
import { type Fault, startFaultProxy } from '../../../src/testing/fault-proxy.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { applyIssuer, applyRights, createWorld, mtlsOf, NAMESPACE, type World } from './cert-manager-world.ts';

const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

// They wait, mostly.
vi.setConfig({ maxConcurrency: 12 });
/** A failure that shows as a metric. */
const FAILED_ONCE = /^weft_issuance_last_failure_timestamp_seconds\{.*\} [1-9]/m;
const eventually = <T>(check: () => T, timeout = 60_000) => vi.waitFor(check, { timeout, interval: 50 });
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

describe.skipIf(missing !== undefined)(`certmanager${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let kubeconfig: string;

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', certManager: { webhook: true } });
    await applyRights(cluster);
    await applyIssuer(cluster);
    kubeconfig = await cluster.kubeconfigFor({ serviceAccount: 'weft-control-plane', namespace: NAMESPACE });
  }, 1_200_000);
  afterAll(() => cluster?.stop());
  // Whatever they went through.
  afterAll(() =>
    eventually(async () => {
      const own = '-l=app.kubernetes.io/managed-by=weft-control-plane';
      expect(await cluster.kubectl('get', 'certificaterequests', '-n', NAMESPACE, own, '-o', 'name')).toBe('');
    }),
  );

  const stateIn = (world: World, proxy = 'web-1', mesh = 'default') => world.identity.state({ mesh, name: proxy });
  const leafOf = (world: World, proxy?: string, mesh?: string) => stateIn(world, proxy, mesh).leaf;
  const failureOf = (world: World, proxy?: string, mesh?: string) => stateIn(world, proxy, mesh).failure;
  const stateOf = (world: World, mesh = 'default') => world.identity.backends(mesh)[0];
  const open = (): Promise<World> => createWorld({ kubeconfig });
  /** Other names: the leaf a proxy has is not the one it must have. */
  const OTHER_NAMES = { uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web', 'kuma://v/2'] };

  describe('an API server', () => {
    const status = (code: number, reason: string): Fault => ({
      status: code,
      body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: reason }),
    });
    const F4: readonly [string, Fault, string][] = [
      ['refused connection', 'refused', 'ApiServerUnavailable'],
      ['hang', 'hang', 'ApiServerUnavailable'],
      ['403', status(403, 'Forbidden'), 'Forbidden'],
      ['429', status(429, 'TooManyRequests'), 'Throttled'],
      ['500', { status: 500, body: '<html>broken</html>' }, 'ApiServerUnavailable'],
      ['slow 9 s', { slowMs: 9000 }, 'ApiServerUnavailable'],
      ['drops after accept', 'drop', 'ApiServerUnavailable'],
      ['TLS expired', 'tls-expired', 'ApiServerUnavailable'],
    ];

    /** The control plane's kubeconfig, by way of `address`. */
    function kubeconfigBy(address: string, caPem: string): string {
      const config = JSON.parse(readFileSync(kubeconfig, 'utf8'));
      const ca = Buffer.from(caPem).toString('base64');
      config.clusters[0].cluster = { server: address, 'certificate-authority-data': ca };
      const file = `${kubeconfig}-${new URL(address).port}`;
      writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
      return file;
    }

    it.concurrent.each(F4.map(([name, fault, reason], index) => ({ name, fault, reason, mesh: `fails-${index}` })))(
      'F4 certmanager: $name takes no leaf away, is asked little, is seen, and is over for all at once',
      async ({ fault, reason, mesh }) => {
        const proxy = await startFaultProxy(cluster.server, cluster.ca);
        await using world = await createWorld({ kubeconfig: kubeconfigBy(proxy.address, proxy.caPem) });
        world.identity.setMesh(mesh, mtlsOf({ issuerRef: { name: 'my-ca-issuer' } }));
        const proxies = Array.from({ length: 6 }, (_, index) => `web-${index}`);
        for (const one of proxies) world.want(one, {}, mesh);
        await eventually(() => expect(proxies.filter((one) => !leafOf(world, one, mesh))).toEqual([]));
        const serials = proxies.map((one) => leafOf(world, one, mesh)?.serial);
        const asked = () => world.client.calls.get('create certificaterequests') ?? 0;
        await proxy.fail(fault);
        const [before, failedAt] = [asked(), Date.now()];
        const change = { uriSans: [`spiffe://${mesh}/web`, 'kuma://kuma.io/service/web', 'kuma://v/2'] };
        for (const one of proxies) world.want(one, { ...change, requestTimeoutMs: 2000 }, mesh);
        await eventually(() => expect(stateOf(world, mesh)).toMatchObject({ state: 'Failing', reason }));
        await eventually(async () => expect(await world.metrics.metrics()).toMatch(FAILED_ONCE));
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, failedAt + 4000 - Date.now())));
        expect(proxies.map((one) => leafOf(world, one, mesh)?.serial)).toEqual(serials);
        // The first wave and a few probes, not each proxy again and again.
        expect(asked() - before).toBeLessThan(3 * proxies.length);
        await proxy.fail('none');
        await eventually(() =>
          expect(proxies.filter((one, index) => leafOf(world, one, mesh)?.serial === serials[index])).toEqual([]),
        );
        await eventually(() => expect(stateOf(world, mesh)).toMatchObject({ state: 'Ready' }));
        await world.close();
        await proxy.close();
      },
    );
  });

  describe('an external issuer', () => {
    let admin: KubeClient;
    let issuer: FakeIssuer;
    /** What the issuer of a name does; `well-behaved` without an entry. */
    const behaviours = new Map<string, IssuerBehaviour>();
    beforeAll(async () => {
      admin = await connectKubernetes({ env: { KUBECONFIG: cluster.kubeconfig } });
      // cert-manager's webhook lets nobody approve for a signer whose kind does not exist.
      await cluster.applyYaml(JSON.stringify(FAKE_ISSUERS));
      await cluster.kubectl('wait', '--for=condition=Established', 'crd/fakeissuers.fake.example');
      issuer = await startFakeIssuer({
        client: admin,
        namespace: NAMESPACE,
        group: 'fake.example',
        behaviour: (request, sign, ca) =>
          (behaviours.get(request.spec.issuerRef.name) ?? wellBehaved)(request, sign, ca),
      });
    });
    afterAll(async () => {
      await issuer?.close();
      await admin?.close();
    });
    const refTo = (name: string) => ({ issuerRef: { name, kind: 'FakeIssuer', group: 'fake.example' } });
    const trusting = (name: string, more: object = {}) =>
      mtlsOf({ ...refTo(name), caCert: { inlineString: issuer.ca.pem }, ...more });

    it.concurrent('signs like any other', async () => {
      await using world = await open();
      world.identity.setMesh('default', mtlsOf(refTo('any')));
      world.want('web-1');
      await eventually(() => expect(leafOf(world), issuer.refusals.join()).toBeDefined());
    });

    it.concurrent.each(garbage.map(([name, behaviour, usable], index) => ({ name, behaviour, usable, index })))(
      'F5 certmanager: $name takes no good leaf away',
      async ({ behaviour, usable, index }) => {
        const name = `garbage-${index}`;
        await using world = await open();
        world.identity.setMesh('default', trusting(name));
        world.want('web-1');
        await eventually(() => expect(leafOf(world)).toBeDefined(), 20_000);
        const { serial } = leafOf(world)!;
        behaviours.set(name, behaviour);
        world.want('web-1', OTHER_NAMES);
        if (usable) await eventually(() => expect(leafOf(world)?.serial).not.toBe(serial), 20_000);
        else {
          await eventually(() => expect(failureOf(world)).toMatchObject({ attempts: 1 }), 20_000);
          expect(leafOf(world)?.serial).toBe(serial);
          expect(stateOf(world)).toMatchObject({ state: 'Failing', reason: 'InvalidAnswer' });
        }
      },
    );

    it.concurrent.each([
      ['invalid', invalid, 'RequestInvalid', 7999],
      ['failed', failed, 'RequestFailed', 3000],
    ] as const)(
      'F7 certmanager: requests that an issuer calls %s: told at once, and asked again in its own time',
      async (name, status, reason, pause) => {
        behaviours.set(name, async () => [status()]);
        await using world = await open();
        world.identity.setMesh('default', trusting(name));
        world.want('web-1');
        await eventually(() => expect(stateOf(world)).toMatchObject({ state: 'Failing', reason }), 5000);
        const { at, nextAttemptAt } = failureOf(world)!;
        expect(nextAttemptAt - at).toBeGreaterThan(pause);
        // A change of the Mesh ends the pause.
        behaviours.delete(name);
        world.identity.setMesh('default', trusting(name, { dnsNames: ['web'] }));
        await eventually(() => expect(leafOf(world)).toBeDefined());
      },
    );

    it.concurrent('F7 certmanager: an answer that changes after it was Ready: the issuer is taken at its first word', async () => {
      let first = '';
      behaviours.set('fickle', async (_request, sign, ca) => {
        const [one, another] = [await sign(), await sign()];
        first = one.pem;
        return [issued(one.pem, ca.pem), issued(another.pem, ca.pem), failed()];
      });
      await using world = await open();
      world.identity.setMesh('default', trusting('fickle'));
      world.want('web-1');
      await eventually(() => expect(leafOf(world)).toBeDefined());
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(leafOf(world)?.chainPem).toContain(first.trim());
      expect(world.events.filter(({ kind }) => kind === 'leaf' || kind === 'failure')).toHaveLength(1);
      expect(world.client.calls.get('create certificaterequests')).toBe(1);
    });

    it.concurrent('F7 certmanager: requests that are deleted: the issuer is asked again soon, one at a time', async () => {
      behaviours.set('deleted', async (request) => {
        await cluster.kubectl('delete', 'certificaterequest', request.metadata.name, '-n', NAMESPACE);
        return [];
      });
      await using world = await open();
      world.identity.setMesh('default', trusting('deleted'));
      world.want('web-1');
      await eventually(() => expect(failureOf(world)?.message).toMatch(/somebody deleted/));
      behaviours.delete('deleted');
      await eventually(() => expect(leafOf(world)).toBeDefined(), 10_000);
      expect(world.client.calls.get('create certificaterequests')).toBe(2);
    }, 20_000);

    it.concurrent('that names another CA with every answer is not followed for ever', async () => {
      behaviours.set('many-cas', async (request, sign) => {
        const ca = await createTestCa();
        return wellBehaved(request, (change) => sign(change, ca), ca);
      });
      await using world = await open();
      world.identity.setMesh('default', mtlsOf(refTo('many-cas')));
      const proxies = Array.from({ length: 12 }, (_, index) => `web-${index}`);
      for (const proxy of proxies) world.want(proxy);
      await eventually(() => expect(world.events.some((event) => event.kind === 'failure')).toBe(true), 20_000);
      expect(world.identity.bundle('default')!.pem.match(/BEGIN/g)!.length).toBeLessThanOrEqual(9);
    }, 30_000);
  });
});
