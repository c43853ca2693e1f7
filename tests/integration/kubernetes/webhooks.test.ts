import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { caBackendKinds, createEgress, createFileReader } from '../../../src/ca/index.ts';
import { createMeshLifecycle } from '../../../src/control-plane/mesh-lifecycle.ts';
import { createSecretAccess } from '../../../src/control-plane/secrets.ts';
import { webhookConfigurations } from '../../../src/install/webhook-configurations.ts';
import { type KubeClient, KubeError } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { crds } from '../../../src/k8s/api/crds.ts';
import { kindResourceType } from '../../../src/k8s/api/kind-type.ts';
import type { KubeObject, ResourceType } from '../../../src/k8s/api/object.ts';
import { systemUsers } from '../../../src/k8s/webhooks/context.ts';
import { createMeshLookup } from '../../../src/k8s/webhooks/mesh-lookup.ts';
import { createNamespaceLookup } from '../../../src/k8s/webhooks/namespace-lookup.ts';
import { startWebhooks, type Webhooks } from '../../../src/k8s/webhooks/start-webhooks.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/lib/log.ts';
import { createMetrics } from '../../../src/lib/metrics.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { createRegistry } from '../../../src/resources/registry.ts';
import { createKubernetesStore } from '../../../src/store/kubernetes/store.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import { createTestCa } from '../../../src/testing/certificates.ts';
import { eventually } from '../../../src/testing/envoy.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';

const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const SYSTEM = 'kong-mesh-system';
const kinds = [...coreKinds, ...policyKinds];
const MUTATING: ResourceType = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
  kind: 'MutatingWebhookConfiguration',
  namespaced: false,
};
const PERMISSION = kindResourceType(policyKinds.find(({ type }) => type === 'MeshTrafficPermission')!);

describe.skipIf(missing !== undefined)(`admission webhooks${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let client: KubeClient;
  let store: ResourceStore;
  let webhooks: Webhooks;
  let stop: AbortController;
  let leading: Promise<void>;

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', certManager: false });
    client = await connectKubernetes({ env: { KUBECONFIG: cluster.kubeconfig } });
    await apply(...crds(kinds));
    await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
    await apply(...['shop', 'plain', SYSTEM].map(namespaceNamed));
    const registry = createRegistry(kinds);
    store = await createKubernetesStore({
      client,
      registry,
      systemNamespace: SYSTEM,
      clock: systemClock,
      random: Math.random,
      log: silentLogger,
    });
    const meshLifecycle = createMeshLifecycle({
      store,
      caKinds: caBackendKinds,
      caDependencies: {
        secrets: createSecretAccess(store),
        readFile: createFileReader({ allowedFileRoots: [] }),
        now: Date.now,
        egress: createEgress({ allowedEndpoints: [] }),
      },
      rehearse: async () => [],
      ensureSigningKey: async () => undefined,
      unsafeDelete: false,
    });
    const labels = {
      mode: 'zone',
      federated: false,
      zone: 'default',
      environment: 'kubernetes',
      systemNamespace: SYSTEM,
    } as const;
    webhooks = await startWebhooks({
      client,
      context: {
        registry,
        labels,
        systemUsers: systemUsers({
          controlPlaneUser: `system:serviceaccount:${SYSTEM}:weft-control-plane`,
          allowedUsers: [],
        }),
        meshes: createMeshLookup(client, labels),
        meshChecks: meshLifecycle,
        secretChecks: { validateDelete: (secret) => meshLifecycle.validateSecretDelete(secret) },
      },
      inject: (pod) =>
        pod.metadata?.labels?.['app'] === 'odd'
          ? { kind: 'refused', violations: [{ field: 'metadata.annotations["kuma.io/x"]', message: 'odd' }] }
          : {
              kind: 'injected',
              pod: { ...pod, metadata: { ...pod.metadata, annotations: { 'kuma.io/sidecar-injected': 'true' } } },
              warnings: [],
            },
      namespace: createNamespaceLookup(client),
      host: '127.0.0.1',
      port: 0,
      certDir: '',
      minVersion: 'TLSv1.2',
      service: 'weft-control-plane',
      // Two CAs and half a dozen serving certificates in the half minute that the rotation test takes.
      lives: { caMs: 24_000, servingMs: 6000, settleMs: 2000 },
      clock: systemClock,
      random: Math.random,
      log: silentLogger,
      metrics: createMetrics(),
    });
    stop = new AbortController();
    leading = webhooks.lead(stop.signal);
    const url = `https://127.0.0.1:${webhooks.address.port}`;
    await apply(...webhookConfigurations({ namespace: SYSTEM, target: { url }, kinds }));
    await soon(async () => {
      expect(await refusal(mesh('not-yet', { mtls: { enabledBackend: 'x' } }))).toContain('spec.mtls.enabledBackend');
    });
  }, 1_200_000);

  afterAll(async () => {
    stop?.abort();
    await leading;
    await webhooks?.close(1000);
    await store?.close();
    await client?.close();
    await cluster?.stop();
  });

  /** Until it does not throw. */
  const soon = (check: () => Promise<void>) =>
    eventually(
      'what the last step led to',
      async () => {
        await check();
        return true;
      },
      60_000,
    );
  const apply = (...items: readonly object[]) =>
    cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const read = async (...args: string[]) => JSON.parse(await cluster.kubectl('get', ...args, '-o', 'json'));

  /** What kubectl says when it may not. */
  async function refusal(object: object): Promise<string> {
    return apply(object).then(
      () => 'accepted',
      (error: Error) => error.message,
    );
  }

  const namespaceNamed = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, ...(name === 'shop' ? { labels: { 'kuma.io/sidecar-injection': 'enabled' } } : {}) },
  });
  const mesh = (name: string, spec: object = {}) => ({
    apiVersion: 'kuma.io/v1alpha1',
    kind: 'Mesh',
    metadata: { name },
    spec,
  });
  const permission = (name: string, mesh: string, spec: object = allowAll, namespace = 'shop') => ({
    apiVersion: 'kuma.io/v1alpha1',
    kind: 'MeshTrafficPermission',
    metadata: { name, namespace, labels: { 'kuma.io/mesh': mesh } },
    spec,
  });
  const allowAll = { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] };
  const secret = (name: string, mesh: string, data: object) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'system.kuma.io/secret',
    metadata: { name, namespace: SYSTEM, labels: { 'kuma.io/mesh': mesh } },
    data,
  });
  const base64 = (text: string) => Buffer.from(text).toString('base64');

  it('takes a good Mesh, fills in its defaults, and makes it the owner of what is of it', async () => {
    const metrics = { enabledBackend: 'p', backends: [{ name: 'p', type: 'prometheus' }] };
    await apply(mesh('good', { metrics }), permission('all', 'good'));
    const stored = await read('mesh', 'good');
    expect(stored.spec.metrics.backends[0].conf).toMatchObject({ port: 5670, path: '/metrics' });
    const policy = await read('meshtrafficpermission', 'all', '-n', 'shop');
    expect(policy.metadata.labels).toEqual({
      'k8s.kuma.io/namespace': 'shop',
      'kuma.io/env': 'kubernetes',
      'kuma.io/mesh': 'good',
      'kuma.io/origin': 'zone',
      'kuma.io/policy-role': 'workload-owner',
      'kuma.io/zone': 'default',
    });
    expect(policy.metadata.ownerReferences).toEqual([
      { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: 'good', uid: stored.metadata.uid },
    ]);
    // Applying it again changes nothing.
    await apply(mesh('good', { metrics }), permission('all', 'good'));
    expect((await read('mesh', 'good')).metadata.resourceVersion).toBe(stored.metadata.resourceVersion);
    await cluster.kubectl('delete', 'mesh', 'good');
    await soon(async () => expect((await read('meshtrafficpermissions', '-n', 'shop')).items).toEqual([]));
  });

  it('refuses a bad Mesh with every field, to kubectl and as one Status', async () => {
    const bad = mesh('bad', {
      mtls: {
        enabledBackend: 'ca-2',
        backends: [{ name: 'ca-1', type: 'builtin', dpCert: { rotation: { expiration: 'soon' } } }],
      },
      routing: { zoneEgress: true },
    });
    const text = await refusal(bad);
    expect(text).toContain('The Mesh "bad" is invalid');
    expect(text).toContain('spec.mtls.enabledBackend: has to be set to one of the backends in the mesh');
    expect(text).toContain('spec.mtls.dpcert.rotation.expiration: has to be a valid format');
    const error = await client
      .create(kindResourceType(kinds[0]!), bad as KubeObject)
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(KubeError);
    expect(error).toMatchObject({ code: 'invalid', status: 422 });
    expect((error as KubeError).causes.map(({ field }) => field)).toEqual([
      'spec.mtls.enabledBackend',
      'spec.mtls.dpcert.rotation.expiration',
    ]);
    expect(
      await refusal(mesh('bad', { mtls: { enabledBackend: 'a', backends: [{ name: 'a', type: 'magic' }] } })),
    ).toContain('spec.mtls.backends[0].type: could not find installed plugin for this type');
    // A provided CA without its secrets shows before any proxy is touched.
    const conf = { cert: { secret: 'none' }, key: { secret: 'none' } };
    expect(
      await refusal(mesh('bad', { mtls: { enabledBackend: 'a', backends: [{ name: 'a', type: 'provided', conf }] } })),
    ).toContain('spec.mtls.backends[0].conf.cert');
    // A server-side dry run is refused in the same way, and a good one stores nothing.
    await expect(cluster.applyYaml(JSON.stringify(bad), '--dry-run=server')).rejects.toThrow(
      'spec.mtls.enabledBackend',
    );
    await cluster.applyYaml(JSON.stringify(mesh('dry')), '--dry-run=server');
    expect((await read('meshes')).items).toEqual([]);
  });

  it('refuses a Mesh update that skips a step of a CA change', async () => {
    const backend = (name: string) => ({ name, type: 'builtin' });
    const enabled = (name: string, ...names: string[]) =>
      mesh('steps', { mtls: { enabledBackend: name, backends: names.map(backend) } });
    await apply(enabled('one', 'one'));
    expect(await refusal(enabled('two', 'two'))).toContain(
      'spec.mtls.enabledBackend: cannot switch to "two" in one step',
    );
    await apply(enabled('one', 'one', 'two'));
    await apply(enabled('two', 'one', 'two'));
    await cluster.kubectl('delete', 'mesh', 'steps');
  });

  it('checks policies and Dataplanes below spec., and the mesh they are of', async () => {
    await apply(
      mesh('m', { constraints: { dataplaneProxy: { restrictions: [{ tags: { 'kuma.io/service': 'evil' } }] } } }),
    );
    expect(await refusal(permission('p', 'm', { from: [{ targetRef: { kind: 'Mesh' }, default: {} }] }))).toContain(
      'spec.from[0].default.action: must be defined',
    );
    expect(await refusal(permission('p', 'none'))).toContain('mesh: mesh of name none is not found');
    const dataplane = (service: string, port: number) => ({
      apiVersion: 'kuma.io/v1alpha1',
      kind: 'Dataplane',
      metadata: { name: 'web', namespace: 'shop', labels: { 'kuma.io/mesh': 'm' } },
      spec: { networking: { address: '10.0.0.1', inbound: [{ port, tags: { 'kuma.io/service': service } }] } },
    });
    expect(await refusal(dataplane('web', 70_000))).toContain('spec.networking.inbound[0].port');
    expect(await refusal(dataplane('evil', 80))).toContain('spec.networking: dataplane cannot be a member of mesh "m"');
    await apply(dataplane('web', 80));
    const stored = await read('dataplane', 'web', '-n', 'shop');
    expect(stored.metadata.labels['kuma.io/proxy-type']).toBe('sidecar');
    expect(stored.spec.networking.inbound[0].tags).toEqual({ 'kuma.io/service': 'web', 'kuma.io/zone': 'default' });
    await soon(async () => expect(await store.get({ type: 'Dataplane', mesh: 'm', name: 'web.shop' })).toBeDefined());
    await expect(cluster.kubectl('delete', 'mesh', 'm')).rejects.toThrow(
      'unable to delete mesh, there are still some dataplanes attached',
    );
    await cluster.kubectl('delete', 'dataplane', 'web', '-n', 'shop');
    await soon(async () => {
      await cluster.kubectl('delete', 'mesh', 'm');
    });
  });

  it('guards Secrets of ours, and looks at no other', async () => {
    const ca = await createTestCa({ uriSans: [] });
    expect(await refusal(secret('s', 'm', {}))).toContain('data.value: cannot be empty.');
    await apply(secret('cert', 'm', { value: base64(ca.pem) }), secret('key', 'm', { value: base64(ca.keyPem) }));
    expect(await refusal(secret('cert', 'other', { value: base64(ca.pem) }))).toContain(
      'metadata.labels["kuma.io/mesh"]: cannot change mesh of the Secret. Delete the Secret first and apply it again.',
    );
    const conf = { cert: { secret: 'cert' }, key: { secret: 'key' } };
    const user = mesh('m', { mtls: { enabledBackend: 'a', backends: [{ name: 'a', type: 'provided', conf }] } });
    await soon(async () => {
      await apply(user);
    });
    await soon(async () => expect(await store.get({ type: 'Mesh', mesh: '', name: 'm' })).toBeDefined());
    await expect(cluster.kubectl('delete', 'secret', 'cert', '-n', SYSTEM)).rejects.toThrow(
      'The secret "cert" that you are trying to remove is currently in use in Mesh "m" in mTLS backend "a"',
    );
    await apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'theirs', namespace: SYSTEM }, data: {} });
    await cluster.kubectl('delete', 'secret', 'theirs', '-n', SYSTEM);
    await cluster.kubectl('delete', 'mesh', 'm');
  });

  const pod = (name: string, namespace: string, labels: object) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { containers: [{ name: 'app', image: 'app:1' }] },
  });

  it('injects Pods of namespaces that ask for it, and what a Pod says counts more', async () => {
    const isInjected = async (name: string, namespace: string, labels: object = {}) => {
      await apply(pod(name, namespace, labels));
      return (await read('pod', name, '-n', namespace)).metadata.annotations?.['kuma.io/sidecar-injected'] === 'true';
    };
    expect(await isInjected('a', 'shop')).toBe(true);
    expect(await isInjected('b', 'shop', { 'kuma.io/sidecar-injection': 'disabled' })).toBe(false);
    expect(await isInjected('c', 'plain')).toBe(false);
    expect(await isInjected('d', 'plain', { 'kuma.io/sidecar-injection': 'enabled' })).toBe(true);
    expect(await refusal(pod('e', 'shop', { app: 'odd' }))).toContain('metadata.annotations["kuma.io/x"]: odd');
  });

  it('refuses no call while its certificate and its CA change under load', async () => {
    await apply(mesh('load'), permission('load', 'load'));
    const bundleNow = async () => {
      const { webhooks: all } = (await client.get(MUTATING, { name: 'weft-admission-mutating' })) as unknown as {
        webhooks: { clientConfig: { caBundle: string } }[];
      };
      expect(new Set(all.map(({ clientConfig }) => clientConfig.caBundle)).size).toBe(1);
      return Buffer.from(all[0]!.clientConfig.caBundle, 'base64').toString();
    };
    /** As an API server without a connection would: what is shown must be trusted. Resolves to the serial shown. */
    const shown = async (): Promise<string> => {
      const ca = await bundleNow();
      return new Promise((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port: webhooks.address.port, ca, servername: 'localhost' }, () => {
          resolve(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    };
    const first = await bundleNow();
    const serials = new Set<string>();
    const failed: unknown[] = [];
    let calls = 0;
    const end = Date.now() + 90_000;
    const isDone = async () => {
      const now = await bundleNow();
      return first.split(/(?<=-----END CERTIFICATE-----\n)/).every((pem) => pem === '' || !now.includes(pem));
    };
    while (calls < 100 || serials.size < 3 || !(await isDone())) {
      expect(Date.now()).toBeLessThan(end);
      calls += 1;
      const labels = { turn: String(calls) };
      await client
        .patch(PERMISSION, { namespace: 'shop', name: 'load' }, { metadata: { labels } }, { as: 'merge' })
        .catch((error: unknown) => failed.push(error));
      await shown().then(
        (serial) => serials.add(serial),
        (error: unknown) => failed.push(error),
      );
    }
    expect(failed).toEqual([]);
  });

  it('repairs caBundle when somebody breaks it', async () => {
    const broken = [{ op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value: base64('') }];
    await cluster.kubectl(
      'patch',
      'mutatingwebhookconfiguration',
      'weft-admission-mutating',
      '--type=json',
      '-p',
      JSON.stringify(broken),
    );
    await soon(async () => {
      expect(await refusal(mesh('repaired'))).not.toContain('failed calling webhook');
    });
    const { webhooks: all } = await read('mutatingwebhookconfiguration', 'weft-admission-mutating');
    expect(new Set(all.map((one: { clientConfig: { caBundle: string } }) => one.clientConfig.caBundle)).size).toBe(1);
  });

  it('stands in the way of injected Pods and of our kinds only, when it is down', async () => {
    stop.abort();
    await leading;
    await webhooks.close(1000);
    await apply(pod('plain', 'plain', {}), secret('later', 'm', { value: base64('x') }));
    await cluster.kubectl('delete', 'secret', 'later', '-n', SYSTEM);
    expect(await refusal(pod('wanted', 'shop', {}))).toContain('failed calling webhook');
    expect(await refusal(mesh('down'))).toContain('failed calling webhook');
    await apply(pod('unwanted', 'shop', { 'kuma.io/sidecar-injection': 'disabled' }));
    await cluster.kubectl('delete', 'meshtrafficpermission', 'load', '-n', 'shop');
  });
});
