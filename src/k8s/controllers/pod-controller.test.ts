import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import { type FakeApiServer, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import type { KubeClient } from '../api/client.ts';
import { connectKubernetes } from '../api/connect.ts';
import { NAMESPACE, type Namespace, NODE, type Node, POD, type Pod, SERVICE, type Service } from '../api/core-kinds.ts';
import { createListWatch } from '../api/create-list-watch.ts';
import type { KubeObject, ResourceType } from '../api/object.ts';
import { DATAPLANE, type DataplaneObject } from './dataplane-writer.ts';
import { runPodController } from './pod-controller.ts';

const PODS = '/api/v1/namespaces/shop/pods';
const SERVICES = '/api/v1/namespaces/shop/services';
const DATAPLANES = '/apis/kuma.io/v1alpha1/namespaces/shop/dataplanes';

let api: FakeApiServer;
let client: KubeClient;
let stop: AbortController;
let running: Promise<void>;
let told: [string, string][];
let meshes: Map<string, MeshSpec>;
let meshChanged: (name: string) => void;

beforeEach(async () => {
  api = await startFakeApiServer();
  client = await connectKubernetes({ kubeconfig: api.kubeconfig });
  told = [];
  meshes = new Map([['default', {}]]);
  api.put('/api/v1/namespaces', { metadata: { name: 'shop' } });
});

afterEach(async () => {
  stop?.abort();
  await running;
  await client.close();
  await api.close();
});

function start(): void {
  stop = new AbortController();
  const { signal } = stop;
  const shared = { client, clock: systemClock, random: () => 0, log: silentLogger, signal };
  const watch = <T extends KubeObject>(type: ResourceType) => createListWatch<T>({ ...shared, type });
  running = runPodController({
    ...shared,
    zone: 'east',
    systemNamespace: 'kong-mesh-system',
    nodeLabelsToCopy: ['topology.kubernetes.io/zone'],
    ignoredServiceSelectorLabels: [],
    pods: watch<Pod>(POD),
    services: watch<Service>(SERVICE),
    namespaces: watch<Namespace>(NAMESPACE),
    nodes: watch<Node>(NODE),
    dataplanes: watch<DataplaneObject>(DATAPLANE),
    meshes: {
      get: (name) => meshes.get(name),
      subscribe(listener) {
        meshChanged = listener;
        return () => {};
      },
    },
    events: {
      // As the recorder: the same sentence again is no second Event.
      event({ name }, _type, _reason, message) {
        if (!told.some((one) => one[0] === name && one[1] === message)) told.push([name, message]);
      },
      close: async () => {},
    },
    concurrency: 10,
  });
}

function putPod(name: string, parts: { labels?: object; annotations?: object; status?: object; spec?: object } = {}) {
  return api.put(PODS, {
    metadata: {
      name,
      labels: { app: 'web', ...parts.labels },
      annotations: { 'kuma.io/sidecar-injected': 'true', ...parts.annotations },
    },
    spec: { containers: [{ name: 'app', ports: [{ containerPort: 8080 }] }], ...parts.spec },
    status: { phase: 'Running', podIP: '10.0.0.1', ...parts.status },
  });
}

async function setStatus(name: string, status: object): Promise<void> {
  await client.patch(POD, { namespace: 'shop', name }, { status }, { as: 'merge', subresource: 'status' });
}

function putService(name: string, spec: object = {}) {
  return api.put(SERVICES, {
    metadata: { name },
    spec: { clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
  });
}

const stored = (name: string) => api.objects('dataplanes').find(({ metadata }) => metadata.name === name);
const spec = (name: string) =>
  stored(name)?.['spec'] as {
    networking: { inbound: { port: number; state?: string; tags: Record<string, string> }[] };
  };
const writes = () => api.requests.filter((line) => /^(POST|PUT|DELETE) .*\/dataplanes/.test(line)).length;
const soon = <T>(check: () => T) => vi.waitFor(check, { timeout: 15_000, interval: 5 });
const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

describe('pod controller', () => {
  it('writes one Dataplane per Pod, owned by it, and nothing when it starts again', async () => {
    putService('web');
    putPod('before');
    start();
    await soon(() => expect(stored('before')).toBeDefined());
    const pod = putPod('after');
    await soon(() => expect(stored('after')).toBeDefined());
    expect(stored('after')).toMatchObject({
      apiVersion: 'kuma.io/v1alpha1',
      kind: 'Dataplane',
      mesh: 'default',
      metadata: {
        namespace: 'shop',
        labels: { app: 'web', 'kuma.io/mesh': 'default', 'k8s.kuma.io/service-account': 'default' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'after', uid: pod.metadata['uid'], controller: true }],
      },
      spec: { networking: { address: '10.0.0.1' } },
    });
    await settle();
    expect(writes()).toBe(2);
    stop.abort();
    await running;
    start();
    await settle();
    expect(writes()).toBe(2);
  });

  it('follows Services: their ports, their selector, their going', async () => {
    start();
    putPod('web');
    await soon(() => expect(spec('web').networking.inbound[0]?.port).toBe(49151));
    putService('web');
    await soon(() => expect(spec('web').networking.inbound[0]?.tags['kuma.io/service']).toBe('web_shop_svc_80'));
    putService('web', { ports: [{ port: 81, targetPort: 8080 }] });
    await soon(() => expect(spec('web').networking.inbound[0]?.tags['kuma.io/service']).toBe('web_shop_svc_81'));
    putService('other', { selector: { app: 'db' } });
    putService('web', { selector: { app: 'db' }, ports: [{ port: 81, targetPort: 8080 }] });
    await soon(() => expect(spec('web').networking.inbound[0]?.port).toBe(49151));
    putService('web');
    await soon(() => expect(spec('web').networking.inbound[0]?.port).toBe(8080));
    api.remove(`${SERVICES}/web`);
    await soon(() => expect(spec('web').networking.inbound[0]?.port).toBe(49151));
    expect(writes()).toBe(6);
  });

  it('follows readiness, and removes what is over', async () => {
    putService('web');
    start();
    putPod('web');
    await soon(() => expect(spec('web').networking.inbound[0]?.state).toBeUndefined());
    await setStatus('web', { containerStatuses: [{ name: 'app', ready: false }] });
    await soon(() => expect(spec('web').networking.inbound[0]?.state).toBe('NotReady'));
    await setStatus('web', { phase: 'Succeeded' });
    await soon(() => expect(stored('web')).toBeUndefined());
  });

  it('takes over the Dataplane of a former Pod of the same name', async () => {
    start();
    const first = putPod('db-0');
    await soon(() => expect(stored('db-0')).toBeDefined());
    api.remove(`${PODS}/db-0`);
    const second = putPod('db-0');
    expect(second.metadata['uid']).not.toBe(first.metadata['uid']);
    await soon(() =>
      expect(stored('db-0')?.metadata).toMatchObject({ ownerReferences: [{ uid: second.metadata['uid'] }] }),
    );
  });

  it('makes a Dataplane again that somebody deleted or changed', async () => {
    start();
    putPod('web');
    await soon(() => expect(stored('web')).toBeDefined());
    api.remove(`${DATAPLANES}/web`);
    await soon(() => expect(stored('web')).toBeDefined());
    api.put(DATAPLANES, { ...stored('web')!, spec: {} });
    await soon(() => expect(spec('web').networking).toBeDefined());
  });

  it('follows the mesh of Pod and Namespace, and waits for a Mesh that is not there', async () => {
    start();
    putPod('web', { labels: { 'kuma.io/mesh': 'late' } });
    putPod('plain');
    await soon(() =>
      expect(told).toEqual([
        ['web', expect.stringContaining('Failed to generate Kuma Dataplane: mesh "late" does not exist')],
      ]),
    );
    meshes.set('late', {});
    meshChanged('late');
    await soon(() => expect(stored('web')?.['mesh']).toBe('late'));
    api.put('/api/v1/namespaces', { metadata: { name: 'shop', labels: { 'kuma.io/mesh': 'late' } } });
    await soon(() => expect(stored('plain')?.['mesh']).toBe('late'));
    expect(stored('plain')?.metadata['labels']).toMatchObject({ 'kuma.io/mesh': 'late' });
  });

  it('copies labels of a Node, also when they come later', async () => {
    start();
    putPod('web', { spec: { nodeName: 'n1' } });
    await soon(() => expect(stored('web')).toBeDefined());
    api.put('/api/v1/nodes', { metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'z1' } } });
    await soon(() => expect(spec('web').networking.inbound[0]?.tags['topology.kubernetes.io/zone']).toBe('z1'));
  });

  it('keeps the last good Dataplane of a Pod that goes bad, and tells its owner', async () => {
    start();
    putPod('web');
    await soon(() => expect(stored('web')).toBeDefined());
    const good = stored('web');
    putPod('web', { annotations: { 'kuma.io/gateway': 'nonsense' } });
    await soon(() =>
      expect(told).toEqual([['web', "Failed to generate Kuma Dataplane: invalid delegated gateway type 'nonsense'"]]),
    );
    expect(stored('web')).toEqual(good);
  });

  it('tries again what the API server did not take, and tells what it refuses', async () => {
    let answers = [503, 422];
    api.interceptor = (request, response) => {
      const code = request.method === 'POST' ? answers.shift() : undefined;
      if (code === undefined) return false;
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          kind: 'Status',
          status: 'Failure',
          code,
          reason: code === 422 ? 'Invalid' : '',
          message: 'spec.networking: no',
        }),
      );
      return true;
    };
    start();
    putPod('web');
    await soon(() => expect(stored('web')).toBeDefined());
    expect(told).toEqual([['web', expect.stringContaining('spec.networking: no')]]);
    answers = [];
  });

  it('leaves alone: Pods without a sidecar, and everything in a Namespace that ends', async () => {
    api.put('/api/v1/namespaces', { metadata: { name: 'shop' }, status: { phase: 'Terminating' } });
    start();
    putPod('web');
    api.put(PODS, { metadata: { name: 'plain' }, spec: {}, status: { podIP: '10.0.0.2' } });
    await settle();
    expect(writes()).toBe(0);
  });

  it('200 Pods: one write each, however often they change meanwhile', async () => {
    putService('web');
    start();
    const names = Array.from({ length: 200 }, (_, n) => `web-${n}`);
    for (const name of names) putPod(name, { status: { podIP: '' } });
    await Promise.all(
      names.map((name) => setStatus(name, { podIP: '10.0.0.1', containerStatuses: [{ name: 'app', ready: true }] })),
    );
    await soon(() => expect(api.objects('dataplanes')).toHaveLength(200));
    await settle();
    expect(writes()).toBe(200);
  });
});
