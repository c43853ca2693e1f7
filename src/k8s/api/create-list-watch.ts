import { backoffMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';
import { type KubeClient, KubeError, type ObjectList } from './client.ts';
import type { ListWatch, ListWatchEvent } from './list-watch.ts';
import type { KubeObject, ResourceType } from './object.ts';

export interface ListWatchOptions<T extends KubeObject = KubeObject> {
  readonly client: KubeClient;
  readonly type: ResourceType;
  /** Absent: all namespaces, or a cluster-scoped kind. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** Aborting it closes the list-watch. */
  readonly signal?: AbortSignal;
  /**
   * A watch that says nothing for so long is taken for dead and resumed; default 100,000. The API server sends a bookmark about every minute.
   */
  readonly maxSilenceMs?: number;
  /** What is kept of each object, for kinds of which there are many and little is read. Must leave name, namespace, uid and resourceVersion. */
  readonly shape?: (object: T) => T;
  /** Called when a list has been applied, the first one and each later one, with its resource version. */
  readonly onList?: (resourceVersion: string) => void;
}

const PAGE_SIZE = 500;
const MAX_SILENCE_MS = 100_000;
const BACKOFF = { baseMs: 200, maxMs: 10_000, jitter: 0.5 };
/** A watch that was open for so long counts as success, also without an event. */
const GOOD_WATCH_MS = 5000;
/** After so many failures in a row the resource version is not trusted any more: a restored etcd has forgotten it. */
const RESUMES = 5;

/** Where a watch goes on. */
interface Position {
  version: string;
  /** Monotonic ms at which the last watch was accepted. */
  openedAt: number | undefined;
}

/**
 * Lists, then watches, until it is closed (`synced` resolves then too); source: Kubernetes "API concepts", efficient detection of changes. A connection that ends is resumed
 * at the last resource version seen (bookmarks count); after 410 the collection is listed again and the differences are reported as events.
 * `metadata.managedFields` is dropped: nobody reads it, and it is often half of an object.
 */
export function createListWatch<T extends KubeObject = KubeObject>(options: ListWatchOptions<T>): ListWatch<T> {
  const { client, type, clock, random } = options;
  const log = options.log.named('list-watch');
  const maxSilenceMs = options.maxSilenceMs ?? MAX_SILENCE_MS;
  const shape = options.shape ?? ((object: T) => object);
  const keptOf = (object: T): T => withoutManagedFields(shape(object));
  const selection = {
    ...(options.namespace !== undefined && { namespace: options.namespace }),
    ...(options.labelSelector !== undefined && { labelSelector: options.labelSelector }),
    ...(options.fieldSelector !== undefined && { fieldSelector: options.fieldSelector }),
  };
  const closing = new AbortController();
  const closed = options.signal === undefined ? closing.signal : AbortSignal.any([closing.signal, options.signal]);
  const objects = new Map<string, T>();
  const listeners = new Set<(event: ListWatchEvent<T>) => void>();
  const synced = Promise.withResolvers<void>();
  let connected = false;

  function emit(event: ListWatchEvent<T>): void {
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        log.error('a subscriber of a list-watch failed', { kind: type.kind, error });
      }
    }
  }

  /** `object` as `keptOf` gives it. */
  function upsert(object: T): void {
    const key = keyText(object);
    let old = objects.get(key);
    if (old !== undefined && old.metadata.resourceVersion === object.metadata.resourceVersion) return;
    // The same name, deleted and made again while nobody looked, is another object.
    if (old !== undefined && old.metadata.uid !== object.metadata.uid) {
      remove(key, old);
      old = undefined;
    }
    objects.set(key, object);
    emit({ op: 'upsert', object, old });
  }

  function remove(key: string, last: T): void {
    if (objects.delete(key)) emit({ op: 'delete', object: last });
  }

  /** Reads every page, then applies the differences in one go. Gives the version to watch from. */
  async function relist(): Promise<string> {
    const present = new Map<string, T>();
    let page: ObjectList<T> | undefined;
    do {
      page = await client.list<T>(type, {
        ...selection,
        limit: PAGE_SIZE,
        signal: closed,
        ...(page?.continue !== undefined && { continue: page.continue }),
      });
      // Whole objects are held for one page only.
      for (const object of page.items) present.set(keyText(object), keptOf(object));
    } while (page.continue !== undefined);
    for (const [key, old] of [...objects]) if (!present.has(key)) remove(key, old);
    for (const object of present.values()) upsert(object);
    options.onList?.(page.resourceVersion);
    return page.resourceVersion;
  }

  /**
   * Applies events until the watch ends; each moves `position`. True when it was left after too long a silence, which a server without bookmarks keeps where
   * nothing changes. Throws what the watch throws.
   */
  async function follow(position: Position): Promise<boolean> {
    const dead = new AbortController();
    const stop = () => dead.abort();
    closed.addEventListener('abort', stop);
    let silent = false;
    const arm = () =>
      clock.after(maxSilenceMs, () => {
        silent = true;
        dead.abort();
      });
    let timer = arm();
    try {
      if (closed.aborted) return false;
      const events = client.watch<T>(type, { ...selection, resourceVersion: position.version, signal: dead.signal });
      for await (const event of events) {
        timer.cancel();
        timer = arm();
        connected = true;
        position.openedAt ??= clock.monotonic();
        if (event.type === 'BOOKMARK') {
          position.version = event.resourceVersion;
          continue;
        }
        position.version = event.object.metadata.resourceVersion ?? position.version;
        if (event.type === 'DELETED') remove(keyText(event.object), keptOf(event.object));
        else upsert(keptOf(event.object));
      }
    } catch (error) {
      if (!silent) throw error;
    } finally {
      timer.cancel();
      closed.removeEventListener('abort', stop);
    }
    return silent;
  }

  async function run(): Promise<void> {
    let position: Position | undefined;
    /** Failures, and watches that ended at once, in a row. */
    let failures = 0;
    let warned = false;
    while (!closed.aborted) {
      let error: unknown;
      let silent = false;
      let from: string | undefined;
      try {
        if (position === undefined) {
          position = { version: await relist(), openedAt: undefined };
          connected = true;
          synced.resolve();
        }
        from = position.version;
        position.openedAt = undefined;
        silent = await follow(position);
      } catch (caught) {
        error = caught;
      }
      if (closed.aborted) break;
      // A server ends a watch now and then, which is no failure; one that ends at once, again and again, is not asked in a tight loop.
      const { openedAt } = position ?? {};
      const useful =
        position !== undefined &&
        (position.version !== from || (openedAt !== undefined && clock.monotonic() - openedAt >= GOOD_WATCH_MS));
      if (useful) {
        failures = 0;
        warned = false;
      }
      if (silent) log.debug('the watch was silent, resuming it', { kind: type.kind, silentMs: maxSilenceMs });
      if (silent || error !== undefined) connected = false;
      if (error !== undefined && !warned) {
        // Once for each loss: the connection is tried again and again.
        log.warn('lost the watch, trying again', { kind: type.kind, error });
        warned = true;
      }
      if (silent || error !== undefined || !useful) failures += 1;
      if (isGone(error) || failures > RESUMES) position = undefined;
      await sleep(clock, delayMs(error, failures), closed);
    }
    connected = false;
    synced.resolve();
  }

  function delayMs(error: unknown, failures: number): number {
    const asked = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(asked, backoffMs(failures, { ...BACKOFF, random: random() }));
  }

  const running = run();
  return {
    synced: synced.promise,
    get: (namespace, name) => objects.get(`${namespace}/${name}`),
    items: () => objects.values(),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get connected() {
      return connected;
    },
    async close() {
      closing.abort();
      await running;
      listeners.clear();
    },
  };
}

function isGone(error: unknown): boolean {
  return error instanceof KubeError && error.code === 'gone';
}

function keyText(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (!('managedFields' in object.metadata)) return object;
  const { managedFields: _managedFields, ...metadata } = object.metadata;
  return { ...object, metadata };
}
