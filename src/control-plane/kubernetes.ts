/**
 * What a control plane does only on Kubernetes, put together. `run.ts` opens it before the store and starts it when everything it stands on is there.
 * Loaded on demand: a control plane on machines pays nothing for it.
 */
import type { CaDependencies } from '../ca/backend.ts';
import type { KubeClient } from '../k8s/api/client.ts';
import { connectKubernetes } from '../k8s/api/connect.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { Registry } from '../resources/registry.ts';
import { createLeaseElection } from '../store/kubernetes/leader.ts';
import { type LeaderElection, type ResourceStore, StoreError } from '../store/store.ts';
import type { ControlPlaneConfig } from './config.ts';

export interface KubernetesOptions {
  readonly config: ControlPlaneConfig;
  /** The process environment: where the API server is. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of this process. */
  readonly instanceId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What the parts on Kubernetes may use of the control plane. */
export interface KubernetesParts {
  readonly store: ResourceStore;
  readonly registry: Registry;
  readonly election: LeaderElection;
  readonly labelContext: LabelContext;
}

export interface Kubernetes {
  readonly client: KubeClient;
  readonly systemNamespace: string;
  /** Resources as objects of the cluster, and the Lease that says who leads. */
  openStore(registry: Registry): Promise<{ store: ResourceStore; election: LeaderElection }>;
  /** What CA backends may use of the cluster. */
  readonly caDependencies: Partial<CaDependencies>;
  /** Starts webhooks and what every replica watches; resolves when they serve, with what stops them. Rejects when one cannot start. */
  start(parts: KubernetesParts): Promise<{ close(): Promise<void> }>;
  /** Controllers: what only the leader does. Resolves when `signal` has aborted. */
  lead(parts: KubernetesParts, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Name of the Lease by which control planes elect their leader. */
const LEADER_LEASE = 'weft-leader';

/** Connects to the API server: the one of the Pod this runs in, else of KUBECONFIG. Throws `KubeError`. */
export async function openKubernetes(options: KubernetesOptions): Promise<Kubernetes> {
  const { config, env, instanceId, clock, log } = options;
  const { systemNamespace } = config.store.kubernetes;
  const client = await connectKubernetes({ env, clock });
  return {
    client,
    systemNamespace,
    async openStore(_registry) {
      const election = createLeaseElection({
        client,
        namespace: systemNamespace,
        name: LEADER_LEASE,
        identity: instanceId,
        clock,
        random: Math.random,
        log: log.named('leader'),
      });
      void election;
      throw new StoreError('unavailable', 'open the Kubernetes store: not there yet');
    },
    caDependencies: {},
    async start(_parts) {
      // Webhooks: startWebhooks({ ... }) goes here; what it returns is closed below.
      return { close: async () => undefined };
    },
    async lead(_parts, _signal) {
      // Controllers: runPodController({ ... }), runMeshStatus({ ... }) go here, in one Promise.all.
    },
    close: () => client.close(),
  };
}
