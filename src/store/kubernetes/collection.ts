import type { KubeClient } from '../../k8s/api/client.ts';
import { createListWatch } from '../../k8s/api/create-list-watch.ts';
import type { KubeObject, OwnerReference } from '../../k8s/api/object.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { keyOf, keyText, type Resource, type ResourceKey } from '../../resources/resource.ts';
import { frozenJson } from '../frozen.ts';
import type { ResourceTable, TableChange } from '../resource-table.ts';
import type { ObjectForm } from './object-form.ts';
import { isNotNewer } from './resource-version.ts';

/** One object, as far as the store remembers it. */
export interface Entry {
  readonly key: ResourceKey;
  /** '' for cluster-scoped kinds. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly owners: readonly OwnerReference[];
  /** Its version is the object's resource version. */
  readonly resource: Resource;
}

/** The live copy of one kind's objects: what the watch shows, and at once what this process wrote itself. */
export interface Collection {
  readonly form: ObjectForm;
  /** Resolves after the first list. */
  readonly synced: Promise<void>;
  find(key: ResourceKey): Entry | undefined;
  /** Puts an answer of the API server in, unless something newer is there. Gives it as an entry; `undefined` when it cannot be read. */
  take(object: KubeObject): Entry | undefined;
  /** The object is gone: by our own delete, or the API server says so. What the watch still shows of it is ignored. */
  drop(entry: Entry): void;
  close(): Promise<void>;
}

/** Without the object, which is garbage as soon as its resource is made of it. */
interface Kept extends KubeObject {
  readonly entry?: Entry | undefined;
}

/** The watch shows the end of what we deleted within moments; after so long a uid need not be remembered any more. */
const TOMBSTONE_MS = 10 * 60_000;

export function createCollection(options: {
  form: ObjectForm;
  client: KubeClient;
  clock: Clock;
  random: () => number;
  log: Logger;
  signal: AbortSignal;
  table: ResourceTable;
  publish: (changes: readonly TableChange[]) => void;
  /** Called after each list but the first: the whole state is known again. */
  relisted: () => void;
}): Collection {
  const { form, client, clock, random, log, signal, table, publish } = options;
  /** By namespace and name. */
  const entries = new Map<string, Entry>();
  /** Which object a resource is read from: two may claim one core name (`a.b`, and `a` in namespace `b`). */
  const sources = new Map<string, string>();
  /** Uids of objects that are gone for us, with the monotonic time of that. */
  const tombstones = new Map<string, number>();
  let listed = false;

  function toEntry(object: KubeObject): Entry | undefined {
    const { namespace = '', name, uid = '', resourceVersion, ownerReferences = [] } = object.metadata;
    const known = entries.get(`${namespace}/${name}`);
    if (known?.uid === uid && known.resource.meta.version === resourceVersion) return known;
    try {
      const resource = stamped(form.toResource(object), object, known?.resource);
      return { key: keyOf(resource), namespace, name, uid, owners: ownerReferences, resource };
    } catch (error) {
      log.warn('an object cannot be read and is left out; what it was before stays', {
        kind: form.kind.type,
        namespace,
        name,
        error,
      });
      return undefined;
    }
  }

  function apply(entry: Entry | undefined): void {
    if (entry === undefined || tombstones.has(entry.uid)) return;
    const place = placeOf(entry);
    const current = entries.get(place);
    if (current !== undefined && isNotNewer(entry.resource.meta.version, current.resource.meta.version)) return;
    const text = keyText(entry.key);
    const source = sources.get(text);
    if (source !== undefined && source !== place) {
      log.warn('two objects have one name in the mesh, the first one counts', {
        name: text,
        used: source,
        left: place,
      });
      return;
    }
    const changes: (TableChange | undefined)[] = [];
    // Its mesh was changed: that is another resource.
    if (current !== undefined && keyText(current.key) !== text) {
      sources.delete(keyText(current.key));
      changes.push(table.set(current.key, undefined));
    }
    entries.set(place, entry);
    sources.set(text, place);
    changes.push(table.set(entry.key, entry.resource));
    publish(changes.filter((change) => change !== undefined));
  }

  function forget(entry: Entry): void {
    entries.delete(placeOf(entry));
    sources.delete(keyText(entry.key));
    const change = table.set(entry.key, undefined);
    if (change !== undefined) publish([change]);
  }

  const watch = createListWatch<Kept>({
    client,
    type: form.type,
    ...form.selection,
    clock,
    random,
    log,
    signal,
    shape(object) {
      const { name, namespace, uid, resourceVersion } = object.metadata;
      return {
        metadata: {
          name,
          ...(namespace !== undefined && { namespace }),
          ...(uid !== undefined && { uid }),
          ...(resourceVersion !== undefined && { resourceVersion }),
        },
        entry: toEntry(object),
      };
    },
    onList(version) {
      // What we wrote and somebody deleted while the watch was away was never shown to the list-watch, so it cannot report the end of it.
      for (const entry of [...entries.values()]) {
        const present = watch.get(entry.namespace, entry.name) !== undefined;
        if (!present && isNotNewer(entry.resource.meta.version, version)) forget(entry);
      }
      if (listed) options.relisted();
      listed = true;
    },
  });
  const unsubscribe = watch.subscribe((event) => {
    if (event.op === 'upsert') {
      apply(event.object.entry);
      return;
    }
    const { namespace = '', name, uid = '' } = event.object.metadata;
    tombstones.delete(uid);
    const entry = entries.get(`${namespace}/${name}`);
    if (entry?.uid === uid) forget(entry);
  });

  return {
    form,
    synced: watch.synced,
    find(key) {
      const place = sources.get(keyText(key));
      return place === undefined ? undefined : entries.get(place);
    },
    take(object) {
      const entry = toEntry(object);
      apply(entry);
      return entry;
    },
    drop(entry) {
      const now = clock.monotonic();
      for (const [uid, since] of tombstones) {
        if (now - since < TOMBSTONE_MS) break;
        tombstones.delete(uid);
      }
      tombstones.set(entry.uid, now);
      if (entries.get(placeOf(entry))?.uid === entry.uid) forget(entry);
    },
    async close() {
      unsubscribe();
      await watch.close();
    },
  };
}

function placeOf(entry: Entry): string {
  return `${entry.namespace}/${entry.name}`;
}

/** The resource with times and version of its object, frozen; what is as in `old` is that very part. */
function stamped(resource: Resource, object: KubeObject, old: Resource | undefined): Resource {
  const { type, meta } = resource;
  const creationTime = object.metadata.creationTimestamp ?? '';
  const stampedMeta = Object.freeze({
    mesh: meta.mesh,
    name: meta.name,
    labels: frozenJson(meta.labels, old?.meta.labels),
    creationTime,
    modificationTime: lastWriteOf(object) ?? creationTime,
    version: object.metadata.resourceVersion ?? '',
  });
  const spec = frozenJson(resource.spec, old?.spec);
  const status = frozenJson(resource.status, old?.status);
  return Object.freeze(
    status === undefined ? { type, meta: stampedMeta, spec } : { type, meta: stampedMeta, spec, status },
  );
}

/** The newest time in `metadata.managedFields`: Kubernetes has no other record of the last write. */
function lastWriteOf(object: KubeObject): string | undefined {
  const { managedFields = [] } = object.metadata as { managedFields?: readonly { readonly time?: string }[] };
  let last: string | undefined;
  for (const { time } of managedFields) if (time !== undefined && (last === undefined || time > last)) last = time;
  return last;
}
