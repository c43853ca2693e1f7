import { sameJson } from '../../mesh/same.ts';
import type { Kind } from '../../resources/kind.ts';
import { type DataplaneSpec, dataplaneKind } from '../../resources/kinds/dataplane.ts';
import { toKubernetes } from '../../resources/kubernetes.ts';
import type { Resource } from '../../resources/resource.ts';
import type { KubeClient } from '../api/client.ts';
import type { Pod } from '../api/core-kinds.ts';
import { kindResourceType } from '../api/kind-type.ts';
import type { ListWatch } from '../api/list-watch.ts';
import type { KubeObject, OwnerReference } from '../api/object.ts';

export const DATAPLANE = kindResourceType(dataplaneKind as Kind);

/** A stored Dataplane. */
export interface DataplaneObject extends KubeObject {
  readonly mesh?: string;
  readonly spec?: unknown;
}

/** Writes the Dataplanes of Pods: nothing when nothing changed, and never over something newer than what was looked at. */
export interface DataplaneWriter {
  /** Makes the Dataplane what it should be. Throws `KubeError`. */
  put(pod: Pod, dataplane: Resource<DataplaneSpec>): Promise<'created' | 'updated' | 'unchanged'>;
  /** Removes this Pod's Dataplane, if there is one. Throws `KubeError`. */
  remove(pod: Pod): Promise<boolean>;
  close(): void;
}

/** `dataplanes` is the view that writes are compared with; what was written and is not in it yet counts as being there. */
export function createDataplaneWriter(options: {
  readonly client: Pick<KubeClient, 'create' | 'replace' | 'delete'>;
  readonly dataplanes: ListWatch<DataplaneObject>;
  readonly systemNamespace: string;
}): DataplaneWriter {
  const { client, dataplanes, systemNamespace } = options;
  /** Own writes that the watch has not shown yet. */
  const ahead = new Map<string, DataplaneObject>();
  const unsubscribe = dataplanes.subscribe((event) => {
    const key = keyText(event.object);
    const written = ahead.get(key);
    if (written !== undefined && !isOlder(event.object, written)) ahead.delete(key);
  });

  function current(namespace: string, name: string): DataplaneObject | undefined {
    return ahead.get(`${namespace}/${name}`) ?? dataplanes.get(namespace, name);
  }

  function remember(object: DataplaneObject): void {
    const seen = dataplanes.get(object.metadata.namespace ?? '', object.metadata.name);
    // The watch may have been faster than the answer.
    if (seen === undefined || isOlder(seen, object)) ahead.set(keyText(object), object);
  }

  return {
    async put(pod, dataplane) {
      const wanted = objectOf(pod, dataplane, systemNamespace);
      const { namespace = '', name } = pod.metadata;
      const stored = current(namespace, name);
      if (stored === undefined) {
        remember(await client.create<DataplaneObject>(DATAPLANE, wanted));
        return 'created';
      }
      if (isSame(stored, wanted)) return 'unchanged';
      const metadata = { ...stored.metadata, ...wanted.metadata };
      remember(await client.replace<DataplaneObject>(DATAPLANE, { ...stored, ...wanted, metadata }));
      return 'updated';
    },
    async remove({ metadata: { namespace = '', name, uid } }) {
      const stored = current(namespace, name);
      if (stored === undefined || !stored.metadata.ownerReferences?.some((owner) => owner.uid === uid)) return false;
      const of = stored.metadata.uid === undefined ? {} : { uid: stored.metadata.uid };
      await client.delete(DATAPLANE, { namespace, name }, of);
      ahead.delete(`${namespace}/${name}`);
      return true;
    },
    close: unsubscribe,
  };
}

function objectOf(pod: Pod, dataplane: Resource<DataplaneSpec>, systemNamespace: string): DataplaneObject {
  const { name, namespace = '', uid = '' } = pod.metadata;
  const object = toKubernetes(dataplaneKind as Kind, dataplane, { systemNamespace, namespace });
  const owner: OwnerReference = { apiVersion: 'v1', kind: 'Pod', name, uid, controller: true };
  const { labels } = object['metadata'] as { labels?: Record<string, string> };
  return { ...object, metadata: { name, namespace, labels: labels ?? {}, ownerReferences: [owner] } };
}

function isSame(stored: DataplaneObject, wanted: DataplaneObject): boolean {
  return (
    stored.mesh === wanted.mesh &&
    sameJson(stored.spec, wanted.spec) &&
    sameJson(stored.metadata.labels ?? {}, wanted.metadata.labels) &&
    sameJson(stored.metadata.ownerReferences ?? [], wanted.metadata.ownerReferences)
  );
}

/** Versions of one collection are numbers that grow. Source: KEP-5504, comparable resource versions. */
function isOlder(a: KubeObject, b: KubeObject): boolean {
  return BigInt(a.metadata.resourceVersion ?? 0) < BigInt(b.metadata.resourceVersion ?? 0);
}

function keyText({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
