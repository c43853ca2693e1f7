/**
 * What a control plane does only on Kubernetes, put together. `run.ts` opens it before the store and starts it when everything it stands on is there.
 * Loaded on demand: a control plane on machines pays nothing for it.
 */
import type { CaDependencies } from '../ca/backend.ts';
import { createCertManager } from '../ca/certmanager/cert-manager.ts';
import type { IdentityService } from '../identity/identity.ts';
import type { KubeClient } from '../k8s/api/client.ts';
import { connectKubernetes } from '../k8s/api/connect.ts';
import { createEventRecorder } from '../k8s/api/events.ts';
import { runMeshStatus } from '../k8s/controllers/mesh-status.ts';
import type { Webhooks } from '../k8s/webhooks/start-webhooks.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { MeshWatcher } from '../push/mesh-watcher.ts';
import type { PushSource } from '../push/xds-source.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { Registry } from '../resources/registry.ts';
import { rotationView } from '../rotation/status.ts';
import { createLeaseElection } from '../store/kubernetes/leader.ts';
import { createKubernetesStore } from '../store/kubernetes/store.ts';
import type { LeaderElection, ResourceStore } from '../store/store.ts';
import type { CaRotationService } from './ca-rotation/ca-rotations.ts';
import type { ControlPlaneConfig } from './config.ts';
import { type KubernetesProxies, openKubernetesProxies } from './kubernetes-proxies.ts';
import { openWebhooks } from './kubernetes-webhooks.ts';
import type { MeshLifecycle } from './mesh-lifecycle.ts';
import { ownSecrets } from './secret-owners.ts';

export interface KubernetesOptions {
  readonly config: ControlPlaneConfig;
  /** The process environment: where the API server is. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of this process. */
  readonly instanceId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** What the parts on Kubernetes may use of the control plane. */
export interface KubernetesParts {
  readonly store: ResourceStore;
  readonly registry: Registry;
  readonly election: LeaderElection;
  readonly labelContext: LabelContext;
  readonly meshLifecycle: MeshLifecycle;
  readonly metrics: Metrics;
  /** CA of the data plane port, PEM. */
  readonly caPem: string;
  readonly watcher: MeshWatcher;
  readonly push: PushSource;
  readonly identity: Pick<IdentityService, 'backends' | 'subscribe'>;
  readonly caRotations: Pick<CaRotationService, 'view' | 'subscribe'>;
}

export interface Kubernetes {
  readonly client: KubeClient;
  readonly systemNamespace: string;
  /** Resources as objects of the cluster, and the Lease that says who leads. Throws `StoreError`. */
  openStore(registry: Registry): Promise<{ store: ResourceStore; election: LeaderElection }>;
  /** Services, Pods behind Dataplanes and their tokens; after the store. Throws `KubeError`. */
  openProxies(): Promise<KubernetesProxies>;
  /** What CA backends may use of the cluster. */
  readonly caDependencies: Partial<CaDependencies>;
  /** Starts webhooks and what every replica watches; resolves when they serve, with what stops them. Rejects when one cannot start. */
  start(parts: KubernetesParts): Promise<{ webhookCertificate(): string; close(): Promise<void> }>;
  /** Controllers: what only the leader does. Resolves when `signal` has aborted. */
  lead(parts: KubernetesParts, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Name of the Lease by which control planes elect their leader. */
const LEADER_LEASE = 'weft-leader';

/** Answers to the API server may take so long when the control plane stops. */
const WEBHOOK_GRACE_MS = 5000;

/** Connects to the API server: the one of the Pod this runs in, else of KUBECONFIG. Throws `KubeError`. */
export async function openKubernetes(options: KubernetesOptions): Promise<Kubernetes> {
  const { config, env, instanceId, clock, log } = options;
  const { systemNamespace } = config.store.kubernetes;
  const client = await connectKubernetes({ env, clock });
  let webhooks: Webhooks | undefined;
  let proxies: KubernetesProxies | undefined;
  const recorder = createEventRecorder({ client, component: 'weft-control-plane', clock, log: log.named('events') });
  const certManager = createCertManager({
    client,
    systemNamespace,
    instanceId,
    zone: config.multizone.zone.name,
    clock,
    random: Math.random,
    log: log.named('certmanager'),
    metrics: options.metrics,
  });
  return {
    client,
    systemNamespace,
    async openStore(registry) {
      const random = Math.random;
      const store = await createKubernetesStore({
        client,
        registry,
        systemNamespace,
        clock,
        random,
        log: log.named('store'),
      });
      const election = createLeaseElection({
        client,
        namespace: systemNamespace,
        name: LEADER_LEASE,
        identity: instanceId,
        clock,
        random,
        log: log.named('leader'),
      });
      return { store, election };
    },
    async openProxies() {
      proxies = await openKubernetesProxies({ client, config, events: recorder, clock, log });
      return proxies;
    },
    caDependencies: { certManager },
    async start(parts) {
      const started = await openWebhooks({ ...parts, config, client, clock, log: log.named('webhooks') });
      webhooks = started;
      const unguard = proxies?.guard({ watcher: parts.watcher, proxies: parts.push });
      return {
        webhookCertificate: started.certificate,
        async close() {
          unguard?.();
          await started.close(WEBHOOK_GRACE_MS);
        },
      };
    },
    async lead({ identity, caRotations, watcher, store }, signal) {
      await Promise.all([
        webhooks?.lead(signal),
        proxies?.lead(watcher, signal),
        ownSecrets({ client, store, systemNamespace, clock, log: log.named('secrets'), signal }),
        runMeshStatus(
          {
            client,
            recorder,
            meshes: () => watcher.snapshots().keys(),
            backends: (mesh) => identity.backends(mesh),
            rotation(mesh) {
              const view = caRotations.view(mesh);
              return view && rotationView(view);
            },
            subscribe(changed) {
              const stops = [
                caRotations.subscribe(changed),
                identity.subscribe((event) => {
                  if (event.kind === 'backends') changed(event.mesh);
                }),
              ];
              return () => stops.forEach((stop) => void stop());
            },
            clock,
            log: log.named('mesh'),
          },
          signal,
        ),
      ]);
    },
    async close() {
      await proxies?.close();
      await certManager.close();
      await recorder.close();
      await client.close();
    },
  };
}
