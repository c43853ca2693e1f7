/** Pods as plain objects on an API server without nodes: what a kubelet and an injector would have written is written by the test. */
import { loadConfig } from '../../../src/control-plane/config.ts';
import { type ControlPlaneInfo, runControlPlane } from '../../../src/control-plane/run.ts';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { NAMESPACE, POD, type Pod, SERVICE, type Service } from '../../../src/k8s/api/core-kinds.ts';
import { CUSTOM_RESOURCE_DEFINITION, crds } from '../../../src/k8s/api/crds.ts';
import { createListWatch } from '../../../src/k8s/api/create-list-watch.ts';
import type { KubeObject } from '../../../src/k8s/api/object.ts';
import { DATAPLANE, type DataplaneObject } from '../../../src/k8s/controllers/dataplane-writer.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { type Logger, silentLogger } from '../../../src/lib/log.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { eventually } from '../../../src/testing/envoy.ts';

export const SYSTEM = 'kong-mesh-system';

/** Our definitions, and namespaces with their ServiceAccount; resolves when both can be used. */
export async function prepareCluster(client: KubeClient, namespaces: readonly string[]): Promise<void> {
  const definitions = crds([...coreKinds, ...policyKinds]);
  await Promise.all(definitions.map((definition) => client.create(CUSTOM_RESOURCE_DEFINITION, definition)));
  for (const name of [SYSTEM, ...namespaces]) await client.create(NAMESPACE, { metadata: { name } });
  await eventually(
    'the definitions are served',
    async () => {
      await Promise.all(
        definitions.map(({ spec }) =>
          client.raw({ method: 'GET', path: `/apis/kuma.io/v1alpha1/${spec.names.plural}` }),
        ),
      );
      return true;
    },
    30_000,
  );
}

/** Environment of a control plane on ports of its own choice. */
export function controlPlaneEnv(kubeconfig: string, workDir: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: workDir,
    KUBECONFIG: kubeconfig,
    KUMA_ENVIRONMENT: 'kubernetes',
    KUMA_STORE_TYPE: 'kubernetes',
    KUMA_GENERAL_WORK_DIR: workDir,
    KUMA_API_SERVER_HTTP_PORT: '0',
    KUMA_API_SERVER_HTTPS_PORT: '0',
    KUMA_DP_SERVER_PORT: '0',
    KUMA_DIAGNOSTICS_SERVER_PORT: '0',
    KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_PORT: '0',
  };
}

export interface RunningControlPlane extends AsyncDisposable {
  readonly info: ControlPlaneInfo;
}

/** A control plane in this process. */
export async function startControlPlane(
  kubeconfig: string,
  workDir: string,
  log: Logger,
): Promise<RunningControlPlane> {
  const env = controlPlaneEnv(kubeconfig, workDir);
  const stop = new AbortController();
  const ready = Promise.withResolvers<ControlPlaneInfo>();
  const running = runControlPlane({
    config: loadConfig({ env }).config,
    env,
    signal: stop.signal,
    log,
    onReady: ready.resolve,
  });
  running.catch(ready.reject);
  return {
    info: await ready.promise,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

export interface TestPod {
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Creates an injected Pod and gives it an address, ready. Resolves with the Pod when the API server has both. */
export async function createPod(client: KubeClient, given: TestPod): Promise<Pod> {
  const pod = {
    metadata: {
      name: given.name,
      namespace: given.namespace,
      labels: given.labels ?? { app: 'web' },
      annotations: {
        'kuma.io/sidecar-injected': 'true',
        'kuma.io/transparent-proxying': 'enabled',
        'kuma.io/transparent-proxying-inbound-port': '15006',
        'kuma.io/transparent-proxying-outbound-port': '15001',
        ...given.annotations,
      },
    },
    spec: { containers: [{ name: 'app', image: 'app', ports: [{ containerPort: 8080 }] }] },
  };
  await client.create(POD, pod);
  return setPodStatus(client, given, true);
}

/** As a kubelet writes it. */
export function setPodStatus(client: KubeClient, pod: TestPod, ready: boolean, phase = 'Running'): Promise<Pod> {
  const status = (name: string) => ({ name, ready, image: '', imageID: '', restartCount: 0 });
  return client.patch<Pod>(
    POD,
    { namespace: pod.namespace, name: pod.name },
    { status: { phase, podIP: pod.ip, podIPs: [{ ip: pod.ip }], containerStatuses: [status('app')] } },
    { as: 'merge', subresource: 'status' },
  );
}

/** Creates or replaces a Service; resolves with the addresses it got. */
export async function putService(
  client: KubeClient,
  namespace: string,
  name: string,
  spec: Service['spec'],
): Promise<Service> {
  const object = { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec };
  return client.patch<Service>(SERVICE, { namespace, name }, object, { as: 'apply' });
}

/** A live view of the Dataplanes of a namespace. */
export async function followDataplanes(client: KubeClient, namespace: string) {
  const log = silentLogger;
  const list = createListWatch<DataplaneObject>({
    client,
    type: DATAPLANE,
    namespace,
    clock: systemClock,
    random: Math.random,
    log,
  });
  await list.synced;
  return {
    get: (name: string) => list.get(namespace, name),
    size: () => [...list.items()].length,
    /** Resolves as soon as the test holds, after any change. */
    async until(what: string, test: () => boolean, timeoutMs = 10_000): Promise<void> {
      const held = Promise.withResolvers<void>();
      const late = setTimeout(() => held.reject(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs);
      const look = () => test() && held.resolve();
      const unsubscribe = list.subscribe(look);
      look();
      try {
        await held.promise;
      } finally {
        clearTimeout(late);
        unsubscribe();
      }
    },
    close: () => list.close(),
  };
}

/** `networking.inbound` of a Dataplane object. */
export function inboundsOf(object: DataplaneObject | undefined) {
  const spec = object?.spec as {
    networking?: { inbound?: { port: number; state?: string; tags: Record<string, string> }[] };
  };
  return spec?.networking?.inbound ?? [];
}

/** A token as a kubelet asks for it. */
export async function podToken(client: KubeClient, pod: Pod, audience: string, seconds = 3600): Promise<string> {
  const { namespace = '', name, uid } = pod.metadata;
  const answer = await client.raw<{ status: { token: string } }>({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: [audience],
        expirationSeconds: seconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    },
  });
  return answer.status.token;
}

export function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

export function highest(values: readonly number[]): number {
  return Math.max(...values);
}

export function mesh(name: string): KubeObject & { spec: object } {
  return { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', metadata: { name }, spec: {} };
}
