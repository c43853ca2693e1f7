import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { SECRET } from '../../../src/k8s/api/core-kinds.ts';
import { kindResourceType } from '../../../src/k8s/api/kind-type.ts';
import type { KubeObject } from '../../../src/k8s/api/object.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { createRegistry } from '../../../src/resources/registry.ts';
import { LEASE_TYPE } from '../../../src/store/kubernetes/leader.ts';
import { freePort, testEnvoy } from '../../../src/testing/envoy.ts';
import { startTcpBalancer, type TcpBalancer } from '../../../src/testing/tcp-balancer.ts';
import { missingCluster, usesOwnCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { createTestMesh, eventually, http, startTraffic, type TestMesh } from '../../e2e/mesh.ts';
import { installCrds } from './install-crds.ts';

const SYSTEM = 'kong-mesh-system';
const envoy = await testEnvoy();
// It stops the API server.
const missing = usesOwnCluster()
  ? "not on a user's own cluster"
  : (missingCluster('api') ?? (envoy === undefined ? 'needs Envoy' : undefined));
if (missing !== undefined && !usesOwnCluster() && process.env['CI'] === 'true') throw new Error(missing);

const registry = createRegistry([...coreKinds, ...policyKinds]);
const type = (kind: string) => kindResourceType(registry.byType(kind)!);

interface Lease extends KubeObject {
  readonly spec: { readonly holderIdentity: string };
}

describe.skipIf(missing !== undefined)(
  `weft cp run on Kubernetes${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let cluster: Cluster;
    let client: KubeClient;
    let balancer: TcpBalancer;
    const replicas: TestMesh[] = [];

    beforeAll(async () => {
      cluster = await startCluster({ level: 'api', certManager: false });
      client = await connectKubernetes({ kubeconfig: cluster.kubeconfig });
      await installCrds(client, registry.list());
      await cluster.kubectl('create', 'namespace', SYSTEM);
      balancer = await startTcpBalancer();
      replicas.push(await startReplica());
      replicas.push(await startReplica());
    }, 1_200_000);

    afterAll(async () => {
      for (const replica of replicas.reverse()) await replica.close();
      await balancer?.close();
      await client?.close();
      await cluster?.stop();
    });

    async function startReplica(): Promise<TestMesh> {
      const replica = await createTestMesh({
        config: {
          environment: 'kubernetes',
          store: { type: 'kubernetes' },
          dpServer: { port: await freePort(), authn: { dpProxy: { type: 'dpToken' } } },
          runtime: { kubernetes: { admissionServer: { port: await freePort() } } },
          bootstrapServer: { params: { xdsPort: balancer.port } },
        },
        env: { KUBECONFIG: cluster.kubeconfig },
      });
      await replica.startControlPlane();
      return replica;
    }
    const emptyMesh = (name: string) =>
      `apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {name: ${name}}\nspec: {}\n`;
    const dataplanePort = (replica: TestMesh) =>
      Number(/"dataplane":(\d+)/.exec(replica.controlPlaneLog())?.[1] ?? Number.NaN);
    const instanceOf = async (replica: TestMesh) => (await replica.ok('GET', '/')).instanceId as string;
    const leader = async () =>
      (await client.get<Lease>(LEASE_TYPE, { namespace: SYSTEM, name: 'weft-leader' })).spec.holderIdentity;

    it('starts on an empty cluster, twice: one leader, the Mesh default, one cluster id, one set of keys', async () => {
      const mesh = await eventually('the mesh is made', 30_000, () => client.get(type('Mesh'), { name: 'default' }));
      const ids = await Promise.all(replicas.map(async (replica) => (await replica.ok('GET', '/')).clusterId));
      expect(new Set(ids).size).toBe(1);
      expect(await Promise.all(replicas.map(instanceOf))).toContain(await leader());
      const secrets = await eventually('the keys are made', 30_000, async () => {
        const { items } = await client.list<KubeObject & { type?: string }>(SECRET, { namespace: SYSTEM });
        return items.some((one) => one.metadata.name === 'dataplane-token-signing-key-default-1') && items;
      });
      const own = secrets.find((one) => one.metadata.name === 'dataplane-token-signing-key-default-1')!;
      expect(own).toMatchObject({
        type: 'system.kuma.io/secret',
        metadata: { labels: { 'kuma.io/mesh': 'default' }, ownerReferences: [{ uid: mesh.metadata.uid }] },
      });
      expect(secrets.filter((one) => one.metadata.name.startsWith('user-token-signing-key'))).toHaveLength(1);
    });

    it('refuses writes over the API, and reads what kubectl applied', async () => {
      const refused = await replicas[0]!.api('PUT', '/meshes/other', { type: 'Mesh', name: 'other' });
      expect([refused.status, refused.body]).toEqual([405, expect.stringContaining('kubectl apply')]);
      await cluster.applyYaml(emptyMesh('applied'));
      for (const replica of replicas) {
        await eventually(
          'a replica sees it',
          10_000,
          async () => (await replica.api('GET', '/meshes/applied')).status === 200,
        );
      }
    });

    it('serves proxies whichever replica they reach, and while the API server is away, and after the leader is killed', async () => {
      const [first, second] = replicas as [TestMesh, TestMesh];
      await cluster.applyYaml(`
apiVersion: kuma.io/v1alpha1
kind: Mesh
metadata: {name: default}
spec: {mtls: {enabledBackend: ca-1, backends: [{name: ca-1, type: builtin}]}}
---
apiVersion: kuma.io/v1alpha1
kind: MeshTrafficPermission
metadata: {name: allow-all, namespace: ${SYSTEM}, labels: {kuma.io/mesh: default}}
spec: {from: [{targetRef: {kind: Mesh}, default: {action: Allow}}]}
`);
      const ca = await client.get<KubeObject & { data: { value: string } }>(SECRET, {
        namespace: SYSTEM,
        name: 'control-plane-ca',
      });
      const pem = Buffer.from(ca.data.value, 'base64').toString();
      for (const { dir } of replicas) {
        mkdirSync(join(dir, 'cp'), { recursive: true });
        writeFileSync(join(dir, 'cp', 'ca.pem'), /-----BEGIN CERT[\s\S]*?-----END CERTIFICATE-----\n/.exec(pem)![0]);
      }
      // Proxies begin at the leader, which is the one that is killed.
      const [lead, other] = (await instanceOf(first)) === (await leader()) ? [first, second] : [second, first];
      balancer.target = dataplanePort(lead);
      const cpPort = balancer.port;
      const service = await first.startService('api');
      await first.startProxy({ name: 'api-1', service: 'api', servicePort: service.port, cpPort });
      const web = await first.startProxy({ name: 'web-1', service: 'web', calls: ['api'], cpPort });
      const url = `http://127.0.0.1:${web.outbounds.get('api')}/`;
      await eventually('web reaches api', 60_000, async () => (await http(url)).status === 200);
      const serials = async () => {
        const { items } = await other.ok('GET', '/meshes/default/dataplanes/_overview');
        return items.map(
          (item: { dataplaneInsight?: { weft?: { certificate?: { serial: string } } } }) =>
            item.dataplaneInsight?.weft?.certificate?.serial,
        ) as (string | undefined)[];
      };
      const before = await eventually('both leaves are known to both replicas', 20_000, async () => {
        const found = await serials();
        return found.length === 2 && found.every((serial) => serial !== undefined) && found;
      });

      const traffic = startTraffic(url, 50);
      await cluster.stopApiServer();
      await new Promise((resolve) => setTimeout(resolve, 20_000));
      for (const replica of replicas) {
        expect((await http(`http://127.0.0.1:${replica.ports.diagnostics}/ready`)).status).toBe(200);
        expect((await replica.ok('GET', '/meshes/default/dataplanes')).total).toBe(2);
      }
      await cluster.startApiServer();
      await cluster.applyYaml(emptyMesh('after'));
      for (const replica of replicas) {
        await eventually(
          'changes are seen again',
          30_000,
          async () => (await replica.api('GET', '/meshes/after')).status === 200,
        );
      }
      await eventually('somebody leads', 30_000, async () =>
        (await Promise.all(replicas.map(instanceOf))).includes(await leader()),
      );

      balancer.target = dataplanePort(other);
      const killed = await instanceOf(lead);
      await lead.stopControlPlane('SIGKILL');
      balancer.cut();
      const survivor = await instanceOf(other);
      await eventually('the other one leads', 40_000, async () => (await leader()) === survivor);
      await eventually('the other one serves both proxies', 40_000, async () => {
        const { items } = await other.ok('GET', '/meshes/default/dataplanes/_overview');
        return items.every(
          (item: {
            dataplaneInsight: { subscriptions: { controlPlaneInstanceId: string; disconnectTime?: string }[] };
          }) => {
            const last = item.dataplaneInsight.subscriptions.at(-1)!;
            return last.controlPlaneInstanceId === survivor && last.disconnectTime === undefined;
          },
        );
      });
      const result = await traffic.stop();
      expect(killed).not.toBe(survivor);
      expect(result.failures).toEqual([]);
      expect(result.ok).toBeGreaterThan(1000);
      // The leaves are those of before: the other replica had them from their sealed records.
      expect(await serials()).toEqual(before);
    }, 300_000);
  },
);
