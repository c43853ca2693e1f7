/** A control plane installed in a cluster of its own: real API server, CRDs, roles and webhooks; itself a process with its ServiceAccount. */

import { controlPlaneManifests } from '../../src/install/manifests.ts';
import { webhookConfigurations } from '../../src/install/webhook-configurations.ts';
import type { KubeClient } from '../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../src/k8s/api/connect.ts';
import { NAMESPACE, SERVICE } from '../../src/k8s/api/core-kinds.ts';
import { crds } from '../../src/k8s/api/crds.ts';
import type { KubeObject, ResourceType } from '../../src/k8s/api/object.ts';
import { policyKinds } from '../../src/policies/index.ts';
import { coreKinds } from '../../src/resources/kinds/index.ts';
import { eventually } from '../../src/testing/envoy.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { type ControlPlane, freePort, startControlPlane } from './control-plane.ts';
import type { Setup } from './session.ts';

const SYSTEM = 'kong-mesh-system';
const ACCOUNT = 'weft-control-plane';
const USER = `system:serviceaccount:${SYSTEM}:${ACCOUNT}`;
/** Calls of the benchmark itself at the same time. */
const LANES = 32;

const SERVICE_ACCOUNT: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
};

export interface Installed {
  readonly cluster: Cluster;
  /** As administrator. */
  readonly client: KubeClient;
  startControlPlane(setup: Setup): Promise<ControlPlane>;
  /** Calls of the control plane to the API server that have been answered so far, by verb and resource. Source: the API server's audit log. */
  calls(): ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** An API server with everything of the install manifests but the Deployment. */
export async function install(): Promise<Installed> {
  const cluster = await startCluster({ level: 'api', certManager: false, controllers: false, audit: true });
  const client = await connectKubernetes({ kubeconfig: cluster.kubeconfig });
  const stop = async (): Promise<void> => {
    await client.close();
    await cluster.stop();
  };
  try {
    const kinds = [...coreKinds, ...policyKinds];
    const values = [{ namespace: { create: true }, controlPlane: { replicas: 0 } }];
    const objects = controlPlaneManifests({ namespace: SYSTEM, version: '0.0.0', values, crds: crds(kinds) });
    const apply = (items: readonly KubeObject[]) =>
      cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }), '--server-side');
    await apply(objects.filter(({ kind }) => !kind?.endsWith('WebhookConfiguration')));
    await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
    const admissionPort = await freePort();
    const target = { url: `https://127.0.0.1:${admissionPort}` };
    await apply(webhookConfigurations({ namespace: SYSTEM, target, kinds }));
    const env = {
      KUBECONFIG: await cluster.kubeconfigFor({ serviceAccount: ACCOUNT, namespace: SYSTEM }),
      KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_ADDRESS: '127.0.0.1',
      KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_PORT: String(admissionPort),
    };
    return {
      cluster,
      client,
      startControlPlane: (setup) => startControlPlane(setup.program, setup.store, setup.protocol, env),
      calls() {
        const found = new Map<string, number>();
        for (const { user, verb, objectRef } of cluster.audit!.events()) {
          if (user.username !== USER) continue;
          const resource = [objectRef?.resource ?? 'raw', objectRef?.subresource].filter(Boolean).join('/');
          found.set(`${verb} ${resource}`, (found.get(`${verb} ${resource}`) ?? 0) + 1);
        }
        return found;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A namespace whose Pods can be created, with its ServiceAccount. */
export async function createNamespace(client: KubeClient, name: string, labels: Record<string, string>): Promise<void> {
  await client.create(NAMESPACE, { metadata: { name, labels } });
  await client.create(SERVICE_ACCOUNT, { metadata: { name: 'default', namespace: name } });
  // Admission of Pods sees a ServiceAccount a moment later.
  await eventually('the ServiceAccount', () => client.get(SERVICE_ACCOUNT, { namespace: name, name: 'default' }));
}

/** Services `service-0` to `service-<count - 1>`, each before the Pods labelled with its name. */
export async function createServices(client: KubeClient, namespace: string, count: number): Promise<void> {
  await inLanes(count, async (index) => {
    const name = `service-${index}`;
    const ports = [{ port: 80, targetPort: 8080, appProtocol: 'http' }];
    await client.create<KubeObject & { spec: object }>(SERVICE, {
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports },
    });
  });
}

/** Calls `work` with 0 to `count - 1`, 32 at a time. */
export async function inLanes(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** What was added between two counts, most first: `1000 create dataplanes, 12 get leases`. */
export function callsBetween(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) {
  const added = [...after]
    .map(([call, count]) => [call, count - (before.get(call) ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  return {
    calls: added.reduce((all, [, count]) => all + count, 0),
    by_verb: `"${added.map(([call, count]) => `${count} ${call}`).join(', ')}"`,
  };
}
