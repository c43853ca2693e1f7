/** Keeps the Dataplanes of Pods in step with Pods, Services, Namespaces, Nodes and Meshes. Runs on the leader only. */
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { aborted } from '../../lib/wait.ts';
import { sameJson } from '../../mesh/same.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import { type KubeClient, KubeError } from '../api/client.ts';
import type { Namespace, Node, Pod, Service } from '../api/core-kinds.ts';
import type { EventRecorder } from '../api/events.ts';
import type { ListWatch } from '../api/list-watch.ts';
import { meshOfPod } from '../inject/decide.ts';
import { indexByNamespace } from './by-namespace.ts';
import { type DataplaneContext, dataplaneOf } from './dataplane-of.ts';
import { createDataplaneWriter, type DataplaneObject } from './dataplane-writer.ts';
import { selects } from './services.ts';
import { createWorkQueue } from './work-queue.ts';

/** The Meshes there are. */
export interface MeshDirectory {
  get(name: string): MeshSpec | undefined;
  /** Called with the name of a Mesh that came, changed or went. */
  subscribe(listener: (name: string) => void): () => void;
}

export interface PodControllerOptions extends Omit<DataplaneContext, 'mesh'> {
  readonly client: Pick<KubeClient, 'create' | 'replace' | 'delete'>;
  readonly pods: ListWatch<Pod>;
  readonly services: ListWatch<Service>;
  readonly namespaces: ListWatch<Namespace>;
  /** Absent: no labels of Nodes become tags. */
  readonly nodes?: ListWatch<Node>;
  readonly dataplanes: ListWatch<DataplaneObject>;
  readonly meshes: MeshDirectory;
  readonly events: EventRecorder;
  /** Pods worked on at the same time. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Reason of the Event on a Pod that cannot be a Dataplane. Source: Kuma 2.11 `pod_controller.go`. */
const FAILED = 'FailedToGenerateKumaDataplane';

/**
 * Runs until `signal` aborts. The list-watches stay the caller's. Every change of an object looks again at the Pods it concerns, and at no
 * others; a Pod whose Dataplane is as it should be costs no call. The Dataplane of a deleted Pod goes by its owner reference.
 */
export async function runPodController(options: PodControllerOptions): Promise<void> {
  const { clock, log, signal, meshes } = options;
  await Promise.race([
    Promise.all(
      [options.pods, options.services, options.namespaces, options.nodes, options.dataplanes].map((one) => one?.synced),
    ),
    aborted(signal),
  ]);
  if (signal.aborted) return;
  const pods = indexByNamespace(options.pods, (pod) => pod.metadata.annotations !== undefined);
  const services = indexByNamespace(options.services);
  const writer = createDataplaneWriter(options);
  const context: DataplaneContext = { ...options, mesh: (name) => meshes.get(name) };
  const queue = createWorkQueue({ work, failed, concurrency: options.concurrency, clock, random: options.random });

  async function work(key: string): Promise<void> {
    const [namespaceName = '', name = ''] = key.split('/');
    const pod = options.pods.get(namespaceName, name);
    const namespace = options.namespaces.get('', namespaceName);
    // A Namespace that is not in view yet brings its Pods along; in one that ends nothing can be made.
    if (pod === undefined || namespace === undefined || namespace.status?.phase === 'Terminating') return;
    const node = pod.spec?.nodeName === undefined ? undefined : options.nodes?.get('', pod.spec.nodeName);
    const outcome = dataplaneOf({ pod, namespace, services: services.of(namespaceName), node }, context);
    const about = { namespace: namespaceName, pod: name };
    switch (outcome.kind) {
      case 'outside':
        return;
      case 'gone':
        if (await removed(pod)) log.info('dataplane removed', { ...about, reason: outcome.reason });
        return;
      case 'refused':
        tell(pod, outcome.reason);
        return;
      case 'dataplane': {
        const result = await writer.put(pod, outcome.dataplane);
        if (result !== 'unchanged') log.debug(`dataplane ${result}`, about);
        return;
      }
      default:
        outcome satisfies never;
    }
  }

  async function removed(pod: Pod): Promise<boolean> {
    try {
      return await writer.remove(pod);
    } catch (error) {
      if (error instanceof KubeError && error.code === 'not-found') return false;
      throw error;
    }
  }

  /** A write that lost a race is tried again and worth no word. What the API server or a webhook refuses is for the owner of the Pod. */
  function failed(key: string, error: unknown, failures: number): void {
    const [namespace = '', name = ''] = key.split('/');
    const code = error instanceof KubeError ? error.code : undefined;
    if ((code === 'conflict' || code === 'already-exists' || code === 'not-found') && failures < 3) return;
    if (failures === 1)
      log.warn('writing the dataplane of a pod failed, trying again', { namespace, pod: name, error });
    const pod = options.pods.get(namespace, name);
    if (pod !== undefined && error instanceof KubeError && code === 'invalid') tell(pod, error.message);
  }

  function tell({ metadata }: Pod, reason: string): void {
    const { namespace, name, uid } = metadata;
    const about = { apiVersion: 'v1', kind: 'Pod', name };
    options.events.event(
      { ...about, ...(namespace === undefined ? {} : { namespace }), ...(uid === undefined ? {} : { uid }) },
      'Warning',
      FAILED,
      `Failed to generate Kuma Dataplane: ${reason}`,
    );
  }

  function look(pod: Pod): void {
    queue.add(`${pod.metadata.namespace ?? ''}/${pod.metadata.name}`);
  }

  function lookAtAll(namespace: string, concerned: (pod: Pod) => boolean = () => true): void {
    for (const pod of pods.of(namespace)) if (concerned(pod)) look(pod);
  }

  function everywhere(concerned: (pod: Pod) => boolean): void {
    for (const { metadata } of options.namespaces.items()) lookAtAll(metadata.name, concerned);
  }

  const unsubscribe = [
    options.pods.subscribe(({ op, object }) => {
      if (op === 'upsert' && object.metadata.annotations !== undefined) look(object);
    }),
    options.services.subscribe((event) => {
      const before = event.op === 'upsert' ? event.old : event.object;
      const after = event.op === 'upsert' ? event.object : undefined;
      if (before !== undefined && after !== undefined && sameService(before, after)) return;
      const ignored = options.ignoredServiceSelectorLabels;
      lookAtAll(event.object.metadata.namespace ?? '', ({ metadata: { labels } }) =>
        [before, after].some((service) => service !== undefined && selects(service, labels, ignored)),
      );
    }),
    options.namespaces.subscribe((event) => {
      if (event.op === 'upsert') lookAtAll(event.object.metadata.name);
    }),
    options.nodes?.subscribe((event) => {
      if (event.op !== 'upsert' || sameCopied(event.old, event.object, options.nodeLabelsToCopy)) return;
      everywhere((pod) => pod.spec?.nodeName === event.object.metadata.name);
    }),
    options.dataplanes.subscribe(({ object }) => {
      const pod = options.pods.get(object.metadata.namespace ?? '', object.metadata.name);
      if (pod?.metadata.annotations !== undefined) look(pod);
    }),
    meshes.subscribe((mesh) =>
      everywhere((pod) => meshOfPod(pod, options.namespaces.get('', pod.metadata.namespace ?? '')?.metadata) === mesh),
    ),
  ];
  everywhere(() => true);
  await aborted(signal);
  for (const stop of unsubscribe) stop?.();
  await queue.close();
  for (const part of [pods, services, writer]) part.close();
}

function sameService(a: Service, b: Service): boolean {
  return sameJson(a.spec, b.spec) && sameJson(a.metadata.annotations, b.metadata.annotations);
}

function sameCopied(a: Node | undefined, b: Node, labels: readonly string[]): boolean {
  return a !== undefined && labels.every((label) => a.metadata.labels?.[label] === b.metadata.labels?.[label]);
}
