import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/control-plane/config.ts';
import { type ControlPlaneInfo, runControlPlane } from '../../../src/control-plane/run.ts';
import { VERSION } from '../../../src/control-plane/version.ts';
import { controlPlaneManifests } from '../../../src/install/manifests.ts';
import { webhookConfigurations } from '../../../src/install/webhook-configurations.ts';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { POD, type Pod } from '../../../src/k8s/api/core-kinds.ts';
import { crds } from '../../../src/k8s/api/crds.ts';
import type { KubeObject } from '../../../src/k8s/api/object.ts';
import { silentLogger } from '../../../src/lib/log.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { createTestCa } from '../../../src/testing/certificates.ts';
import { eventually, freePort } from '../../../src/testing/envoy.ts';
import { createEnvoy, type SimulatedEnvoy } from '../../bench/fleet/envoy.ts';
import { createReferenceReader } from '../../bench/fleet/references.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { grantedRights, type Right, rightsUsed } from './rights.ts';

const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const SYSTEM = 'kong-mesh-system';
const USER = `system:serviceaccount:${SYSTEM}:weft-control-plane`;
const kinds = [...coreKinds, ...policyKinds];

/** Rights that this test makes use of only sometimes or never, each with the code that does. */
const USED_ELSEWHERE: Readonly<Record<Right, string>> = {
  'cluster kuma.io/dataplanes update': 'src/k8s/controllers/dataplane-writer.ts: a Pod or its Services changed',
  'cluster kuma.io/dataplaneinsights patch': 'src/insights/dataplane-insight.ts: the proxy took something new',
  'cluster kuma.io/meshinsights patch': 'src/insights/aggregate.ts: the counts changed',
  'cluster kuma.io/serviceinsights patch': 'src/insights/aggregate.ts: the counts changed',
  'cluster kuma.io/dataplaneinsights delete': 'src/insights/dataplane-insight.ts: before garbage collection does it',
  'cluster kuma.io/serviceinsights delete': 'src/insights/aggregate.ts: the last proxy of the mesh is gone',
  'cluster core/events patch': 'src/k8s/api/events.ts: the same Event once more',
  'system core/secrets update': 'src/k8s/webhooks/certificate-keeper.ts: the certificate is renewed',
  'system core/secrets patch': 'src/ca/builtin-secrets.ts: another builtin CA signs',
  'cluster kuma.io/meshes patch': 'src/control-plane/ca-rotation: a rotation switches the backend that issues',
  'cluster kuma.io/carotations create': 'src/control-plane/ca-rotation/rotation-records.ts: a rotation begins',
  'cluster kuma.io/carotations patch': 'src/control-plane/ca-rotation/rotation-records.ts: it goes on',
  'cluster kuma.io/carotations delete': 'src/control-plane/ca-rotation/rotation-records.ts: its Mesh is gone',
  'cluster kuma.io/issuancestates create': 'src/control-plane/backend-memories.ts: an issuer refuses or fails',
  'cluster kuma.io/issuancestates patch': 'src/control-plane/backend-memories.ts: it does so again',
  'cluster kuma.io/issuancestates delete': 'src/control-plane/backend-memories.ts: it issues again',
  'cluster kuma.io/meshdistrusts create': 'src/control-plane/distrust.ts: something is distrusted',
  'cluster kuma.io/meshdistrusts patch': 'src/control-plane/distrust.ts: something more is, or less',
  'cluster kuma.io/meshdistrusts delete': 'src/control-plane/distrust.ts: nothing is any more',
  'cluster kuma.io/renewalrequests create': 'src/control-plane/renewal-requests.ts: somebody asks for a renewal',
  'cluster kuma.io/renewalrequests patch': 'src/control-plane/renewal-requests.ts: the same once more',
  'cluster kuma.io/renewalrequests delete': 'src/control-plane/renewal-requests.ts: it is a week old',
  'cluster kuma.io/pendingleaves create':
    'src/control-plane/pending-leaves.ts: a certificate is asked for that is paid',
  'cluster kuma.io/pendingleaves patch': 'src/control-plane/pending-leaves.ts: what the issuer calls it is known',
  'cluster kuma.io/pendingleaves delete': 'src/control-plane/pending-leaves.ts: it has come',
  'cluster kuma.io/sealedleaves patch': 'src/control-plane/leaf-records.ts: the leaf is renewed',
  'cluster kuma.io/sealedleaves delete': 'src/control-plane/leaf-records.ts: no leaf is wanted any more',
  'cluster kuma.io/meshinsights delete': 'src/insights/aggregate.ts: before garbage collection does it',
};

describe.skipIf(missing !== undefined)(
  `rights of the control plane${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-rights-'));
    const stop = new AbortController();
    let cluster: Cluster;
    let running: Promise<void> | undefined;
    let info: ControlPlaneInfo;
    let envoy: SimulatedEnvoy | undefined;

    beforeAll(async () => {
      cluster = await startCluster({ level: 'api', audit: true });
      const admissionPort = await freePort();
      const objects = controlPlaneManifests({
        namespace: SYSTEM,
        version: VERSION,
        values: [{ namespace: { create: true }, controlPlane: { replicas: 0 } }],
        crds: crds(kinds),
      });
      await apply(...objects.filter(({ kind }) => !kind?.endsWith('WebhookConfiguration')));
      await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
      // The API server reaches the control plane of this test at an address, not at a Service.
      await apply(
        ...webhookConfigurations({ namespace: SYSTEM, target: { url: `https://127.0.0.1:${admissionPort}` }, kinds }),
      );
      const env = {
        ...environmentOf(objects),
        PATH: process.env['PATH'] ?? '',
        HOME: folder,
        KUBECONFIG: await cluster.kubeconfigFor({ serviceAccount: 'weft-control-plane', namespace: SYSTEM }),
        KUMA_GENERAL_WORK_DIR: folder,
        KUMA_API_SERVER_HTTP_PORT: '0',
        KUMA_API_SERVER_HTTPS_PORT: '0',
        KUMA_DP_SERVER_PORT: '0',
        KUMA_DIAGNOSTICS_SERVER_PORT: '0',
        KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_PORT: String(admissionPort),
      };
      const ready = Promise.withResolvers<ControlPlaneInfo>();
      running = runControlPlane({
        config: loadConfig({ env }).config,
        env,
        signal: stop.signal,
        log: silentLogger,
        onReady: ready.resolve,
      });
      running.catch(ready.reject);
      info = await ready.promise;
    }, 1_800_000);

    afterAll(async () => {
      envoy?.close();
      stop.abort();
      await running?.catch(() => undefined);
      await cluster?.stop();
      rmSync(folder, { recursive: true });
    });

    const apply = (...items: readonly KubeObject[]) =>
      cluster.applyYaml(
        JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
        '--server-side',
        '--force-conflicts',
      );
    const get = async (...args: string[]) => JSON.parse(await cluster.kubectl('get', ...args, '-o', 'json'));
    /** As kubelet gives it to the sidecar of a Pod. */
    async function tokenOf(admin: KubeClient, name: string): Promise<string> {
      const { status } = await admin.raw<{ readonly status: { readonly token: string } }>({
        method: 'POST',
        path: '/api/v1/namespaces/shop/serviceaccounts/default/token',
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            audiences: ['weft-control-plane'],
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name },
          },
        },
      });
      return status.token;
    }
    const base64 = (text: string) => Buffer.from(text).toString('base64');

    it('does its whole work with the rights it is installed with', async () => {
      const ca = await createTestCa({ subject: 'CN=issuer' });
      await apply(
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'issuer-ca', namespace: SYSTEM },
          ...{ type: 'kubernetes.io/tls', data: { 'tls.crt': base64(ca.pem), 'tls.key': base64(ca.keyPem) } },
        },
        {
          apiVersion: 'cert-manager.io/v1',
          kind: 'Issuer',
          metadata: { name: 'issuer', namespace: SYSTEM },
          ...{ spec: { ca: { secretName: 'issuer-ca' } } },
        },
        {
          apiVersion: 'cert-manager.io/v1',
          kind: 'ClusterIssuer',
          metadata: { name: 'nothing' },
          ...{ spec: { ca: { secretName: 'not-there' } } },
        },
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'ours', namespace: SYSTEM, labels: { 'kuma.io/mesh': 'default' } },
          ...{ type: 'system.kuma.io/secret', data: { value: base64('x') } },
        },
      );
      await eventually('Mesh default', () => get('mesh', 'default'), 30_000);
      await apply(mesh('default', 'Issuer', 'issuer'), mesh('broken', 'ClusterIssuer', 'nothing'), builtinMesh());
      await eventually(
        'the CA of the mesh whose CA is ours',
        () => get('secret', 'ours.ca-builtin-cert-ca', '-n', SYSTEM),
        30_000,
      );

      await apply({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'shop', labels: { 'kuma.io/sidecar-injection': 'enabled' } },
      });
      await apply(service('web', {}), service('headless', { clusterIP: 'None' }));
      await apply({
        apiVersion: 'kuma.io/v1alpha1',
        kind: 'ContainerPatch',
        metadata: { name: 'patch', namespace: SYSTEM },
        ...{ spec: { sidecarPatch: [{ op: 'add', path: '/tty', value: 'true' }] } },
      });
      await eventually('ServiceAccount', () => get('serviceaccount', 'default', '-n', 'shop'), 30_000);
      await apply({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: 'web',
          namespace: 'shop',
          labels: { app: 'web' },
          annotations: { 'kuma.io/container-patches': 'patch' },
        },
        ...{ spec: { containers: [{ name: 'app', image: 'app', ports: [{ containerPort: 8080 }] }] } },
      });
      const status = { phase: 'Running', podIP: '10.1.2.3', podIPs: [{ ip: '10.1.2.3' }] };
      await cluster.kubectl(
        'patch',
        'pod',
        'web',
        '-n',
        'shop',
        '--subresource=status',
        '--type=merge',
        '-p',
        JSON.stringify({ status }),
      );
      await eventually('the Dataplane of the Pod', () => get('dataplane', 'web', '-n', 'shop'), 60_000);

      const token = (
        await cluster.kubectl(
          'create',
          'token',
          'default',
          '-n',
          'shop',
          '--audience=weft-control-plane',
          '--bound-object-kind=Pod',
          '--bound-object-name=web',
        )
      ).trim();
      envoy = createEnvoy({
        node: { id: 'default.web.shop', cluster: 'web_shop_svc_80', metadata: {} },
        url: `https://127.0.0.1:${info.dataplanePort}`,
        authorization: `Bearer ${token}`,
        protocol: 'delta',
        alwaysNode: false,
        references: createReferenceReader(),
      });
      const proxy = envoy;
      await eventually(
        'a leaf by the issuer',
        async () => proxy.leafAt > 0 || Promise.reject(new Error(proxy.lastError)),
        60_000,
      );
      await eventually(
        'insight with the certificate',
        async () => {
          const { status: insight } = await get('dataplaneinsight', 'web', '-n', 'shop');
          expect(insight.mTLS.issuedBackend).toBe('ca');
          return true;
        },
        60_000,
      );
      await eventually(
        'an Event on the Mesh whose issuer is no use',
        async () => {
          const { items } = await get('events', '-A');
          expect(items.map((event: { involvedObject: { name: string } }) => event.involvedObject.name)).toContain(
            'broken',
          );
          return true;
        },
        60_000,
      );
      // A Pod that is done has no Dataplane, and is still there.
      const done = JSON.stringify({ status: { phase: 'Succeeded' } });
      await cluster.kubectl('patch', 'pod', 'web', '-n', 'shop', '--subresource=status', '--type=merge', '-p', done);
      await eventually(
        'the Dataplane of a Pod that is done is gone',
        async () => {
          expect((await get('dataplane', '-n', 'shop')).items).toEqual([]);
          return true;
        },
        60_000,
      );
      await cluster.kubectl('delete', 'pod', 'web', '-n', 'shop', '--grace-period=0', '--force');
      await eventually(
        'the Dataplane is gone',
        async () => {
          expect((await get('dataplane', '-n', 'shop')).items).toEqual([]);
          return true;
        },
        60_000,
      );
      await cluster.kubectl('delete', 'mesh', 'broken', 'ours');

      expect(rightsUsed(cluster.audit!.events(), USER).refused).toEqual([]);
    }, 300_000);

    it('makes four calls for the certificate of a new proxy: request, its deletion, sealed leaf, insight', async () => {
      const admin = await connectKubernetes({ kubeconfig: cluster.kubeconfig });
      const envoys: SimulatedEnvoy[] = [];
      try {
        const names = Array.from({ length: 20 }, (_, index) => `many-${index}`);
        const containers = [{ name: 'app', image: 'app', ports: [{ containerPort: 8080 }] }];
        const createPod = async (name: string, index: number): Promise<void> => {
          const at = { name, namespace: 'shop' };
          await admin.create<Pod>(POD, { metadata: { ...at, labels: { app: 'web' } }, spec: { containers } });
          const ip = `10.1.3.${index + 1}`;
          const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }] };
          await admin.patch(POD, at, { status }, { as: 'merge', subresource: 'status' });
        };
        await Promise.all(names.map(createPod));
        const served = async () => (await get('dataplanes', '-n', 'shop')).items.length === names.length;
        await eventually('the Dataplanes', served, 60_000);
        const tokens = await Promise.all(names.map((name) => tokenOf(admin, name)));
        await sleep(2000);

        const before = cluster.audit!.events().length;
        const references = createReferenceReader();
        for (const [index, name] of names.entries()) {
          envoys.push(
            createEnvoy({
              node: { id: `default.${name}.shop`, cluster: 'web_shop_svc_80', metadata: {} },
              url: `https://127.0.0.1:${info.dataplanePort}`,
              authorization: `Bearer ${tokens[index]}`,
              protocol: 'delta',
              alwaysNode: false,
              references,
            }),
          );
        }
        await eventually('all leaves', async () => envoys.every(({ leafAt }) => leafAt > 0), 60_000);
        const answered = () =>
          cluster
            .audit!.events()
            .slice(before)
            .filter(({ user }) => user.username === USER);
        const count = (resource: string) =>
          answered().filter(({ verb, objectRef }) => verb !== 'watch' && objectRef?.resource === resource).length;
        await eventually('all insights', async () => count('dataplaneinsights') >= names.length, 30_000);
        // What was written too often would be by now.
        await sleep(6000);
        const calls = Object.fromEntries(
          ['certificaterequests', 'sealedleaves', 'dataplaneinsights'].map((resource) => [resource, count(resource)]),
        );
        const { dataplaneinsights, ...exact } = calls;
        expect(exact).toEqual({ certificaterequests: 40, sealedleaves: 20 });
        // One each; a machine that stands still for seconds may part a leaf from what its proxy says to it.
        expect(dataplaneinsights).toBeLessThanOrEqual(22);
        // Besides, for each stream the review of its token, and what does not grow with the number of certificates.
        const others = answered().filter(({ verb, objectRef }) => {
          const { resource = '' } = objectRef ?? {};
          return verb !== 'watch' && resource !== 'tokenreviews' && !(resource in calls);
        });
        expect(others.filter(({ objectRef }) => objectRef?.resource !== 'leases').length).toBeLessThan(20);
      } finally {
        for (const one of envoys) one.close();
        await admin.close();
      }
    }, 180_000);

    it('has no right that nothing uses', () => {
      const { used } = rightsUsed(cluster.audit!.events(), USER);
      const unused = [...grantedRights()].filter((right) => !used.has(right) && !Object.hasOwn(USED_ELSEWHERE, right));
      expect(unused).toEqual([]);
      for (const [right, place] of Object.entries(USED_ELSEWHERE)) {
        expect([...grantedRights()]).toContain(right);
        expect(existsSync(join(import.meta.dirname, '../../..', place.split(':')[0]!)), place).toBe(true);
      }
    });

    it('never asked for a Secret of cert-manager, nor for any outside its namespace', () => {
      const secrets = cluster
        .audit!.events()
        .filter(({ user, objectRef }) => user.username === USER && objectRef?.resource === 'secrets');
      expect(secrets.length).toBeGreaterThan(0);
      for (const { verb, requestURI, objectRef } of secrets) {
        expect(objectRef?.namespace, requestURI).toBe(SYSTEM);
        expect(objectRef?.name, requestURI).not.toBe('issuer-ca');
        // A list or watch says which types it wants: the API server sends no others.
        if (verb === 'list' || verb === 'watch')
          expect(decodeURIComponent(requestURI)).toMatch(
            /fieldSelector=(type=system\.kuma\.io\/(global-)?secret|metadata\.name=)/,
          );
      }
    });

    function mesh(name: string, kind: string, issuer: string): KubeObject {
      const backend = {
        name: 'ca',
        type: 'certmanager',
        dpCert: { rotation: { expiration: '1h' } },
        conf: { issuerRef: { name: issuer, kind } },
      };
      return {
        apiVersion: 'kuma.io/v1alpha1',
        kind: 'Mesh',
        metadata: { name },
        ...{ spec: { mtls: { enabledBackend: 'ca', backends: [backend] } } },
      };
    }

    function builtinMesh(): KubeObject {
      const mtls = { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] };
      return { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', metadata: { name: 'ours' }, ...{ spec: { mtls } } };
    }

    function service(name: string, spec: object): KubeObject {
      return {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'shop' },
        ...{ spec: { ...spec, selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] } },
      };
    }
  },
);

/** Variables of the Deployment's container that have a plain value. */
function environmentOf(objects: readonly KubeObject[]): Readonly<Record<string, string>> {
  const deployment = objects.find(({ kind }) => kind === 'Deployment') as KubeObject & {
    readonly spec: {
      readonly template: {
        readonly spec: {
          readonly containers: readonly {
            readonly env: readonly { readonly name: string; readonly value?: string }[];
          }[];
        };
      };
    };
  };
  const { env } = deployment.spec.template.spec.containers[0]!;
  return Object.fromEntries(env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
}
