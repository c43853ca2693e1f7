/** The benchmarks on a real API server without nodes: K1 Pods, K3 the client, K4 Pods of others. What a kubelet would write is written here. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from '../../src/k8s/api/client.ts';
import { POD, type Pod } from '../../src/k8s/api/core-kinds.ts';
import { kindResourceType } from '../../src/k8s/api/kind-type.ts';
import type { KubeObject, ResourceType } from '../../src/k8s/api/object.ts';
import { TOKEN_AUDIENCE } from '../../src/k8s/inject/containers.ts';
import type { Kind } from '../../src/resources/kind.ts';
import { meshKind } from '../../src/resources/kinds/mesh.ts';
import { eventually } from '../../src/testing/envoy.ts';
import { followDataplanes, podToken, setPodStatus, type TestPod } from '../integration/kubernetes/pods-fixture.ts';
import { monotonicMs } from './fleet/envoy.ts';
import { createFleet } from './fleet/handle.ts';
import { callsBetween, createNamespace, createServices, inLanes, install } from './kubernetes.ts';
import { mesh, type Scenario, scenarioOf } from './scenario.ts';
import { type Measured, measure, type Row, round, rowOf, type Setup } from './session.ts';

const NAMESPACE = 'bench';
const MESH = kindResourceType(meshKind as Kind);
const CONFIG_MAP: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
};
/** Insights and the like are written some seconds after what they tell of. */
const SETTLE_S = 15;
const ROUNDS = 5;

/**
 * N Pods behind N/10 Services: created and injected until the last has its Dataplane, connected (as themselves, with tokens of their
 * ServiceAccount) until the last has its configuration and a leaf of the mesh's own CA that verifies, then what comes after, then idle, then one Pod
 * that is not ready any more until the last proxy that reaches it took the change.
 */
export async function k1(setup: Setup, n: number, how: { idleS: number; reach: number }): Promise<Row[]> {
  const installed = await install();
  const { client } = installed;
  const scenario = scenarioOf(n, { mesh: 'default', outbounds: how.reach > 0 ? how.reach : n });
  const cp = await installed.startControlPlane(setup);
  const session = { setup, scenario, cp };
  const tokens: string[] = [];
  const fleet = createFleet({
    proxy: (index) => ({
      node: { id: `default.${podOf(scenario, index).name}.${NAMESPACE}`, cluster: NAMESPACE, metadata: {} },
      authorization: `Bearer ${tokens[index]}`,
    }),
    url: cp.dataplaneUrl,
    protocol: setup.protocol,
    alwaysNode: false,
  });
  const rows: Row[] = [];
  const add = async (bench: string, work: (since: number) => Promise<readonly number[]>): Promise<Measured> => {
    const before = installed.calls();
    const measured = await measure(cp, fleet, work);
    const { calls, by_verb } = callsBetween(before, installed.calls());
    const [p50_s, p99_s] = [round(measured.p50), round(measured.p99)];
    rows.push({ ...rowOf(session, bench, measured), p50_s, p99_s, calls, by_verb });
    return measured;
  };
  try {
    await eventually('Mesh default', () => client.get(MESH, { name: 'default' }), 60_000);
    const { mtls } = mesh('default', true) as { mtls: object };
    await client.patch(MESH, { name: 'default' }, { spec: { mtls } }, { as: 'merge' });
    await createNamespace(client, NAMESPACE, { 'kuma.io/sidecar-injection': 'enabled' });
    await createServices(client, NAMESPACE, scenario.services);
    const dataplanes = await followDataplanes(client, NAMESPACE);
    const baseMb = cp.memoryMb().rss;
    const pods: Pod[] = [];
    await add('K1 pods', async () => {
      await inLanes(n, async (index) => {
        pods[index] = await createPod(client, scenario, index, how.reach > 0);
      });
      await dataplanes.until('all Dataplanes', () => dataplanes.size() === n, 120_000);
      return [monotonicMs()];
    });
    await dataplanes.close();
    await inLanes(n, async (index) => {
      tokens[index] = await podToken(client, pods[index]!, TOKEN_AUDIENCE);
    });
    await add('K1 connect', async (since) => {
      await fleet.start(0, n);
      const [configured, leaves] = await Promise.all([
        fleet.reach({ kind: 'configured', since }),
        fleet.reach({ kind: 'leaf', since }),
      ]);
      return configured.at(-1)! > leaves.at(-1)! ? configured : leaves;
    });
    await add('K1 after', async () => {
      await sleep(SETTLE_S * 1000);
      return [monotonicMs()];
    });
    const idle = await add('K1 idle', async () => {
      await sleep(how.idleS * 1000);
      return [monotonicMs()];
    });
    const extra = {
      cores: round(idle.cpu / idle.last),
      base_mb: Math.round(baseMb),
      peak_mb: Math.round(cp.memoryMb().peak),
    };
    rows.push({ ...rows.pop()!, ...extra, mb_per_proxy: round((cp.memoryMb().rss - baseMb) / n) });

    const reaching = proxiesThatReach(scenario, 0);
    const changes: Row[] = [];
    for (let count = 0; count < ROUNDS; count++) {
      await add('K1 one endpoint', async (since) => {
        await setPodStatus(client, podOf(scenario, 0), count % 2 === 1);
        return await fleet.reach({ kind: 'endpoint', since }, reaching, 30_000);
      });
      changes.push(rows.pop()!);
      await sleep(1000);
    }
    changes.sort((a, b) => a.wall_s - b.wall_s);
    rows.push({ ...changes[Math.floor(ROUNDS / 2)]!, worst_s: changes.at(-1)!.wall_s, proxies: reaching.length });
    return rows;
  } finally {
    await fleet.stop();
    await cp.stop();
    await installed.stop();
  }
}

const CALLS = 4000;

/** The client of the control plane in this process: create and delete of small objects, 32 at a time. CPU is this process's. */
export async function k3(setup: Setup): Promise<Row[]> {
  const { client, stop } = await install();
  try {
    const namespace = 'default';
    const pair = async (index: number): Promise<void> => {
      const name = `bench-${index}`;
      await client.create<KubeObject & { data: object }>(CONFIG_MAP, {
        metadata: { name, namespace },
        data: { index: `${index}` },
      });
      await client.delete(CONFIG_MAP, { namespace, name });
    };
    const get = async (): Promise<void> => {
      await client.get(CONFIG_MAP, { namespace, name: 'bench' });
    };
    await client.create(CONFIG_MAP, { metadata: { name: 'bench', namespace } });
    await inLanes(500, pair);
    const rows: Row[] = [];
    for (const [bench, count, work, callsEach] of [
      ['K3 create, delete', CALLS / 2, pair, 2],
      ['K3 get', CALLS, get, 1],
    ] as const) {
      const [cpu, start] = [process.cpuUsage(), monotonicMs()];
      await inLanes(count, work);
      const wall = (monotonicMs() - start) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      const seconds = (user + system) / 1e6;
      rows.push({
        ...{ bench, program: setup.program.name, n: count * callsEach, store: setup.store, xds: '-' },
        ...{ wall_s: round(wall), cpu_s: round(seconds), rss_mb: Math.round(process.memoryUsage.rss() / 1048576) },
        calls_per_s: Math.round((count * callsEach) / wall),
        cpu_ms_per_call: round((seconds * 1000) / (count * callsEach)),
      });
    }
    return rows;
  } finally {
    await stop();
  }
}

const OTHERS = 5000;

/** A control plane started in a cluster with no Pods, and again with 5000 that are not in the mesh, until it has settled. */
export async function k4(setup: Setup): Promise<Row[]> {
  const installed = await install();
  const { client } = installed;
  try {
    const start = async (pods: number, bench: string): Promise<Row> => {
      const cp = await installed.startControlPlane(setup);
      try {
        await eventually('Mesh default', () => client.get(MESH, { name: 'default' }), 60_000);
        await sleep(SETTLE_S * 1000);
        const measured = { last: (cp.readyAt - cp.spawnedAt) / 1000, cpu: cp.cpuSeconds() };
        const scenario = scenarioOf(pods);
        return { ...rowOf({ setup, scenario, cp }, bench, measured), peak_mb: Math.round(cp.memoryMb().peak) };
      } finally {
        await cp.stop();
      }
    };
    const none = await start(0, 'K4 no Pods');
    await createNamespace(client, NAMESPACE, {});
    let bytes = 0;
    await inLanes(OTHERS, async (index) => {
      const pod = await createOtherPod(client, index);
      bytes += JSON.stringify(pod).length;
    });
    const many = await start(OTHERS, 'K4 Pods of others');
    const extra = (many.rss_mb - none.rss_mb) * 1024;
    return [none, { ...many, kb_of_json_per_pod: round(bytes / OTHERS / 1024), kb_per_pod: round(extra / OTHERS) }];
  } finally {
    await installed.stop();
  }
}

function podOf(scenario: Scenario, index: number): TestPod {
  const service = `service-${index % scenario.services}`;
  return {
    namespace: NAMESPACE,
    name: `${service}-${index}`,
    ip: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
    labels: { app: service },
  };
}

/** Injected by the webhook, then given an address as a kubelet does. */
function createPod(client: KubeClient, scenario: Scenario, index: number, scoped: boolean): Promise<Pod> {
  const pod = podOf(scenario, index);
  const reached = servicesReachedBy(scenario, index).map((service) => `service-${service}_${NAMESPACE}_svc_80`);
  const annotations: Record<string, string> = scoped
    ? { 'kuma.io/transparent-proxying-reachable-services': reached.join(',') }
    : {};
  return client
    .create<Pod>(POD, {
      metadata: { name: pod.name, namespace: NAMESPACE, labels: pod.labels!, annotations },
      spec: { containers: [{ name: 'app', image: 'app', ports: [{ containerPort: 8080 }] }] },
    })
    .then(() => setPodStatus(client, pod, true));
}

/** The next ones after its own; all when it reaches more than there are. */
function servicesReachedBy({ services, outbounds }: Scenario, index: number): number[] {
  return Array.from({ length: Math.min(outbounds, services) }, (_, nth) => (index + 1 + nth) % services);
}

function proxiesThatReach(scenario: Scenario, service: number): number[] {
  return Array.from({ length: scenario.proxies }, (_, index) => index).filter((index) =>
    servicesReachedBy(scenario, index).includes(service),
  );
}

/** As large as Pods of a real cluster are: environment, probes, mounts, and what the API server adds. */
async function createOtherPod(client: KubeClient, index: number): Promise<Pod> {
  const name = `other-${index}`;
  const probe = { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 10 };
  const pod = {
    metadata: {
      name,
      namespace: NAMESPACE,
      labels: { app: `app-${index % 100}`, 'pod-template-hash': `${index}` },
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090', 'checksum/config': 'a'.repeat(64) },
    },
    spec: {
      containers: [
        {
          name: 'app',
          image: `registry.example/team/app-${index % 100}:1.2.3`,
          ports: [{ containerPort: 8080 }],
          env: Array.from({ length: 20 }, (_, nth) => ({ name: `SETTING_${nth}`, value: `value of setting ${nth}` })),
          livenessProbe: probe,
          readinessProbe: probe,
          volumeMounts: [{ name: 'config', mountPath: '/etc/app' }],
        },
      ],
      volumes: [{ name: 'config', configMap: { name: 'app-config' } }],
    },
  };
  await client.create<Pod>(POD, pod);
  return await setPodStatus(
    client,
    { namespace: NAMESPACE, name, ip: `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}` },
    true,
  );
}
