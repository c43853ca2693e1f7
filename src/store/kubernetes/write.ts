import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import type { KubeObject } from '../../k8s/api/object.ts';
import type { Clock } from '../../lib/clock.ts';
import { sleep } from '../../lib/wait.ts';
import type { Resource, ResourceKey } from '../../resources/resource.ts';
import { describeKey } from '../plan-writes.ts';
import { StoreError } from '../store.ts';
import type { Collection, Entry } from './collection.ts';
import { placeWithOwner } from './owners.ts';

/** What one key shall be after a transaction; `version` is the expected one, absent: whatever it is. */
export type Wanted =
  | { readonly op: 'create'; readonly resource: Resource }
  | { readonly op: 'update'; readonly resource: Resource; readonly version?: string }
  | { readonly op: 'put'; readonly resource: Resource }
  | { readonly op: 'delete'; readonly key: ResourceKey; readonly version?: string };

/** A write that was made. */
export interface Done {
  /** As it was written; absent: deleted. */
  readonly resource?: Resource;
  /** Puts back what was there before, unless somebody else has written since. Throws `KubeError`. */
  undo(): Promise<unknown>;
}

export interface WriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly systemNamespace: string;
  /** Throws for a type that the registry does not have. */
  readonly collection: (type: string) => Collection;
}

interface JsonPatchOperation {
  readonly op: 'add' | 'test';
  readonly path: string;
  readonly value: unknown;
}

/** How often a call is made when the API server asks for patience. */
const TRIES = 6;
const PATIENCE_MS = 1000;

/** Makes one write; throws `StoreError`. What the API server answers is in the collection when it resolves. */
export function createWriter(options: WriterOptions): (wanted: Wanted) => Promise<Done> {
  const { client, clock, signal, systemNamespace } = options;

  /** Honours `Retry-After` of a server that has too much to do. */
  async function patiently<T>(call: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof KubeError) || error.code !== 'throttled' || tries === TRIES) throw error;
        await sleep(clock, error.retryAfterMs ?? PATIENCE_MS, signal);
      }
    }
  }

  /** Looks at one object as it is now, if it is ours. Others are not even read: the selection is part of the question. */
  async function refresh(
    collection: Collection,
    at: { namespace?: string | undefined; name: string },
  ): Promise<Entry | undefined> {
    const { selection, type } = collection.form;
    const byName = `metadata.name=${at.name}`;
    const { items } = await patiently(() =>
      client.list(type, {
        ...selection,
        ...(at.namespace !== undefined && at.namespace !== '' && { namespace: at.namespace }),
        fieldSelector: selection.fieldSelector === undefined ? byName : `${selection.fieldSelector},${byName}`,
        signal,
      }),
    );
    return items[0] === undefined ? undefined : collection.take(items[0]);
  }

  async function create(collection: Collection, wanted: Wanted & { op: 'create' | 'put' }): Promise<Done> {
    const { form } = collection;
    const { resource, owner } = placeWithOwner(
      wanted.resource,
      (key) => options.collection(key.type).find(key),
      systemNamespace,
    );
    const bare = form.toObject(resource);
    const object = owner === undefined ? bare : { ...bare, metadata: { ...bare.metadata, ownerReferences: [owner] } };
    let answer: KubeObject;
    try {
      answer = await patiently(() => client.create(form.type, object, { signal }));
    } catch (error) {
      if (!isCode(error, 'already-exists')) throw error;
      const entry = await refresh(collection, object.metadata);
      if (entry === undefined) {
        throw new StoreError(
          'refused',
          `create ${describeKey(keyOfWanted(wanted))}: ${form.type.kind} ${object.metadata.name} exists already and is not ours; rename it`,
          { key: keyOfWanted(wanted), cause: error },
        );
      }
      if (wanted.op === 'create') throw error;
      return replace(collection, wanted, entry);
    }
    const made = await withStatus(collection, requireEntry(collection, answer), resource);
    return { resource: made.resource, undo: () => remove(collection, made, made.resource.meta.version) };
  }

  /** One call, whatever else is in the object: annotations, owners and finalizers of others stay. */
  async function replace(
    collection: Collection,
    wanted: Wanted & { op: 'update' | 'put' },
    entry: Entry,
  ): Promise<Done> {
    const { resource, owner } = placeWithOwner(
      wanted.resource,
      (key) => options.collection(key.type).find(key),
      systemNamespace,
    );
    const written = await patch(collection, entry, resource, {
      ...(wanted.op === 'update' && wanted.version !== undefined && { version: wanted.version }),
      // Its Dataplane is another one of the same name now: garbage collection would end the record with the old one.
      ...(owner !== undefined &&
        !entry.owners.some(({ uid }) => uid === owner.uid) &&
        owner.kind === 'Dataplane' && { owner }),
    });
    return {
      resource: written.resource,
      undo: () => patch(collection, written, entry.resource, { version: written.resource.meta.version }),
    };
  }

  async function patch(
    collection: Collection,
    entry: Entry,
    resource: Resource,
    more: { readonly version?: string; readonly owner?: unknown },
  ): Promise<Entry> {
    const { form } = collection;
    const object = form.toObject(resource);
    const fields = object as unknown as Readonly<Record<string, unknown>>;
    const operations: JsonPatchOperation[] = [
      ...form.ownership,
      ...(more.version === undefined ? [] : [add('/metadata/resourceVersion', more.version)]),
      ...(more.owner === undefined ? [] : [add('/metadata/ownerReferences', [more.owner])]),
      add('/metadata/labels', object.metadata.labels ?? {}),
      ...form.dataFields.map((field) => add(`/${field}`, fields[field])),
    ];
    const answer = await patiently(() => client.patch(form.type, placeOf(entry), operations, { as: 'json', signal }));
    return withStatus(collection, requireEntry(collection, answer), resource);
  }

  /** Status has a call of its own, and only where it differs. */
  async function withStatus(collection: Collection, entry: Entry, resource: Resource): Promise<Entry> {
    const { form } = collection;
    if (!form.statusApart || JSON.stringify(entry.resource.status) === JSON.stringify(resource.status)) return entry;
    const operations = [
      resource.status === undefined ? { op: 'remove', path: '/status' } : add('/status', resource.status),
    ];
    const answer = await patiently(() =>
      client.patch(form.type, placeOf(entry), operations, { as: 'json', subresource: 'status', signal }),
    );
    return requireEntry(collection, answer);
  }

  /** Only this very object: one made anew under its name stays. */
  async function remove(collection: Collection, entry: Entry, version: string | undefined): Promise<void> {
    await patiently(() =>
      client.delete(collection.form.type, placeOf(entry), {
        uid: entry.uid,
        ...(version !== undefined && { resourceVersion: version }),
        signal,
      }),
    );
    collection.drop(entry);
  }

  async function make(wanted: Wanted, collection: Collection): Promise<Done> {
    const entry = collection.find(keyOfWanted(wanted));
    if (wanted.op === 'create') return create(collection, wanted);
    if (entry === undefined) {
      if (wanted.op === 'put') return create(collection, wanted);
      throw new KubeError('not-found', 'it does not exist');
    }
    if (wanted.op !== 'delete') return replace(collection, wanted, entry);
    await remove(collection, entry, wanted.version);
    return { undo: () => create(collection, { op: 'create', resource: entry.resource }) };
  }

  return async function write(wanted) {
    const collection = options.collection(keyOfWanted(wanted).type);
    const known = collection.find(keyOfWanted(wanted));
    try {
      return await make(wanted, collection);
    } catch (error) {
      if (known === undefined || !isCode(error, 'conflict', 'not-found', 'invalid')) throw toStoreError(error, wanted);
      // Whoever reads the store because of the error shall find what the API server has.
      const live = await refresh(collection, known).catch(() => known);
      if (live?.uid === known.uid) throw toStoreError(error, wanted);
      // Somebody deleted it, or made it anew: a write without a version is meant for whatever is there.
      collection.drop(known);
      return await make(wanted, collection).catch((again: unknown) => {
        throw toStoreError(again, wanted);
      });
    }
  };
}

function requireEntry(collection: Collection, answer: KubeObject): Entry {
  const entry = collection.take(answer);
  if (entry === undefined) {
    throw new KubeError(
      'invalid',
      `the API server's ${collection.form.type.kind} ${answer.metadata.name} cannot be read`,
    );
  }
  return entry;
}

function keyOfWanted(wanted: Wanted): ResourceKey {
  if (wanted.op === 'delete') return wanted.key;
  const { type, meta } = wanted.resource;
  return { type, mesh: meta.mesh, name: meta.name };
}

function placeOf({ namespace, name }: Entry): { readonly namespace?: string; readonly name: string } {
  return namespace === '' ? { name } : { namespace, name };
}

function add(path: string, value: unknown): JsonPatchOperation {
  return { op: 'add', path, value };
}

function isCode(error: unknown, ...codes: readonly KubeError['code'][]): boolean {
  return error instanceof KubeError && codes.includes(error.code);
}

function toStoreError(error: unknown, wanted: Wanted): StoreError {
  if (error instanceof StoreError) return error;
  const key = keyOfWanted(wanted);
  const message = `${wanted.op} ${describeKey(key)} in Kubernetes: ${error instanceof Error ? error.message : String(error)}`;
  const options = { key, cause: error };
  switch (error instanceof KubeError ? error.code : undefined) {
    case 'not-found':
      return new StoreError('not-found', message, options);
    case 'already-exists':
      return new StoreError('already-exists', message, options);
    case 'conflict':
      return new StoreError('conflict', message, options);
    case 'invalid':
      return new StoreError('refused', message, options);
    default:
      return new StoreError('unavailable', message, options);
  }
}
