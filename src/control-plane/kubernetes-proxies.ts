/** Proxies in Pods, put together: the Dataplanes of Pods, the addresses of Services, and whose token belongs to which Pod. */
import type { ProxyAuthenticator } from '../auth/proxy.ts';
import { createServiceAccountAuthenticator, type ProxyPod } from '../auth/service-account.ts';
import type { KubeClient } from '../k8s/api/client.ts';
import {
  NAMESPACE,
  type Namespace,
  NODE,
  type Node,
  POD,
  type Pod,
  SERVICE,
  type Service,
} from '../k8s/api/core-kinds.ts';
import { createListWatch } from '../k8s/api/create-list-watch.ts';
import type { EventRecorder } from '../k8s/api/events.ts';
import type { ListWatch } from '../k8s/api/list-watch.ts';
import type { KubeObject, ResourceType } from '../k8s/api/object.ts';
import { reviewToken } from '../k8s/api/token-review.ts';
import { SERVICE_ACCOUNT_LABEL } from '../k8s/controllers/dataplane-of.ts';
import { DATAPLANE, type DataplaneObject } from '../k8s/controllers/dataplane-writer.ts';
import { runPodController } from '../k8s/controllers/pod-controller.ts';
import { createServiceVips } from '../k8s/controllers/service-vips.ts';
import { slimPod } from '../k8s/controllers/slim-pod.ts';
import { TOKEN_AUDIENCE } from '../k8s/inject/containers.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ServiceVips } from '../mesh/vips.ts';
import type { MeshWatcher } from '../push/mesh-watcher.ts';
import type { PushSource } from '../push/xds-source.ts';
import { XdsError } from '../xds-server/xds.ts';
import type { ControlPlaneConfig } from './config.ts';

export interface KubernetesProxies {
  /** For the snapshots of every control plane. */
  readonly vips: ServiceVips;
  readonly authenticator: ProxyAuthenticator;
  /** Ends the streams of proxies whose Pod is gone or another one, as soon as that is seen. Returns what stops it. */
  guard(parts: { readonly watcher: MeshWatcher; readonly proxies: PushSource }): () => void;
  /** Dataplanes of Pods: what only the leader does. Resolves when `signal` has aborted. */
  lead(watcher: MeshWatcher, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Resolves when Services and Dataplanes have been listed once. Throws `KubeError` when one cannot be. */
export async function openKubernetesProxies(options: {
  readonly client: KubeClient;
  readonly config: ControlPlaneConfig;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<KubernetesProxies> {
  const { client, config, events, clock, log } = options;
  const { systemNamespace } = config.store.kubernetes;
  const { controllersConcurrency, injector } = config.runtime.kubernetes;
  const closing = new AbortController();

  function watch<T extends KubeObject>(
    type: ResourceType,
    signal: AbortSignal,
    shape?: (object: T) => T,
  ): ListWatch<T> {
    const shared = { client, type, clock, random: Math.random, log, signal };
    return createListWatch<T>({ ...shared, ...(shape === undefined ? {} : { shape }) });
  }

  // A list-watch tries for ever; one call says at once what is missing.
  await Promise.all([SERVICE, DATAPLANE].map((type) => client.list(type, { limit: 1 })));
  const services = watch<Service>(SERVICE, closing.signal);
  const dataplanes = watch<DataplaneObject>(DATAPLANE, closing.signal);
  await Promise.all([services.synced, dataplanes.synced]);

  return {
    vips: createServiceVips(services),
    authenticator: createServiceAccountAuthenticator({
      review: (token, audiences) => reviewToken(client, token, audiences),
      audience: TOKEN_AUDIENCE,
      podOf: (name) => podOf(dataplanes, systemNamespace, name),
      allowUnbound: config.weft.kubernetes.allowTokensWithoutPod,
      now: clock.now,
    }),

    guard({ watcher, proxies }) {
      const stops = [
        watcher.subscribe(({ mesh, snapshot, touchedDataplanes }) => {
          for (const name of touchedDataplanes) {
            if (snapshot.dataplanes.has(name)) continue;
            const reason = `serve proxy ${mesh}.${name}: its Dataplane is gone, and with it its Pod`;
            proxies.session({ mesh, name })?.stream.end(new XdsError('permission-denied', reason));
          }
        }),
        dataplanes.subscribe((event) => {
          if (event.op !== 'upsert' || ownerUid(event.old) === ownerUid(event.object)) return;
          const { mesh = 'default', metadata } = event.object;
          void proxies.authenticateAgain(mesh, coreName(metadata, systemNamespace));
        }),
      ];
      return () => {
        for (const stop of stops) stop();
      };
    },

    async lead(watcher, signal) {
      const nodes = injector.nodeLabelsToCopy.length === 0 ? {} : { nodes: watch<Node>(NODE, signal, slimNode) };
      await runPodController({
        client,
        zone: config.multizone.zone.name,
        systemNamespace,
        nodeLabelsToCopy: injector.nodeLabelsToCopy,
        ignoredServiceSelectorLabels: injector.ignoredServiceSelectorLabels,
        concurrency: Math.max(1, controllersConcurrency.podController),
        pods: watch<Pod>(POD, signal, slimPod),
        namespaces: watch<Namespace>(NAMESPACE, signal),
        ...nodes,
        services,
        dataplanes,
        meshes: {
          get: (name) => watcher.snapshot(name)?.mesh?.spec,
          subscribe: (listener) => watcher.subscribe(({ mesh, meshChanged }) => meshChanged && listener(mesh)),
        },
        events,
        clock,
        random: Math.random,
        log: log.named('controllers'),
        signal,
      });
    },

    async close() {
      closing.abort();
      await Promise.all([services.close(), dataplanes.close()]);
    },
  };
}

/** The Pod that owns a Dataplane, called `<pod>.<namespace>`, or `<pod>` in the system namespace. */
function podOf(
  dataplanes: ListWatch<DataplaneObject>,
  systemNamespace: string,
  name: string,
): ProxyPod | 'unknown' | 'unowned' {
  const dot = name.lastIndexOf('.');
  const object =
    (dot > 0 ? dataplanes.get(name.slice(dot + 1), name.slice(0, dot)) : undefined) ??
    dataplanes.get(systemNamespace, name);
  if (object === undefined) return 'unknown';
  const { metadata } = object;
  const owner = metadata.ownerReferences?.find(({ apiVersion, kind }) => apiVersion === 'v1' && kind === 'Pod');
  if (owner === undefined) return 'unowned';
  return {
    mesh: object.mesh ?? 'default',
    namespace: metadata.namespace ?? '',
    name: owner.name,
    uid: owner.uid,
    serviceAccount: metadata.labels?.[SERVICE_ACCOUNT_LABEL],
  };
}

function ownerUid(object: KubeObject | undefined): string | undefined {
  return object?.metadata.ownerReferences?.find(({ kind }) => kind === 'Pod')?.uid;
}

function coreName({ name, namespace = '' }: KubeObject['metadata'], systemNamespace: string): string {
  return namespace === systemNamespace ? name : `${name}.${namespace}`;
}

function slimNode({ metadata: { name, uid, resourceVersion, labels } }: Node): Node {
  return {
    metadata: {
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(labels === undefined ? {} : { labels }),
    },
  };
}
