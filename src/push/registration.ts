import type { ProxyKey } from '../identity/identity.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import { keyOf, keyText, type Resource } from '../resources/resource.ts';
import type { ResourceStore, Write } from '../store/store.ts';

/**
 * Life of Dataplanes that a proxy brings along in its bootstrap (`kuma-dp run --dataplane-file`): stored when its first stream opens,
 * removed `deregistrationDelayMs` after the last one ended. A Dataplane that was applied beforehand and is not brought along stays.
 * Source: kuma-compat 4.1 "Life cycle".
 */
export interface DataplaneRegistration {
  /** Stores the Dataplane when it is new or differs; many proxies at once become one transaction. */
  register(dataplane: Resource): Promise<void>;
  /** The proxy's stream ended; nothing happens for a proxy that did not register or has come back. */
  release(proxy: ProxyKey): void;
  close(): void;
}

interface Registered {
  streams: number;
  removal: Timer | undefined;
}

export function createDataplaneRegistration(options: {
  store: ResourceStore;
  clock: Clock;
  log: Logger;
  deregistrationDelayMs: number;
}): DataplaneRegistration {
  const { store, clock, log } = options;
  const registered = new Map<string, Registered>();
  let queue: { dataplane: Resource; done: () => void; failed: (error: unknown) => void }[] = [];
  let flushing = false;

  async function flush(): Promise<void> {
    flushing = true;
    while (queue.length > 0) {
      const batch = queue;
      queue = [];
      try {
        const writes: Write[] = [];
        for (const { dataplane } of batch) {
          const stored = await store.get(keyOf(dataplane));
          if (stored === undefined || !sameContent(stored, dataplane)) writes.push({ op: 'put', resource: dataplane });
        }
        if (writes.length > 0) await store.transact(writes);
        for (const item of batch) item.done();
      } catch (error) {
        for (const item of batch) item.failed(error);
      }
    }
    flushing = false;
  }

  async function remove(proxy: ProxyKey): Promise<void> {
    const id = keyText({ type: 'Dataplane', ...proxy });
    if (registered.get(id)?.streams !== 0) return;
    registered.delete(id);
    try {
      await store.transact([{ op: 'delete', key: { type: 'Dataplane', ...proxy } }]);
      log.info('dataplane removed after its stream ended', { mesh: proxy.mesh, dataplane: proxy.name });
    } catch (error) {
      log.debug('removing a dataplane failed', { mesh: proxy.mesh, dataplane: proxy.name, error });
    }
  }

  return {
    async register(dataplane) {
      const id = keyText(keyOf(dataplane));
      const entry = registered.get(id) ?? { streams: 0, removal: undefined };
      entry.streams += 1;
      entry.removal?.cancel();
      entry.removal = undefined;
      registered.set(id, entry);
      await new Promise<void>((done, failed) => {
        queue.push({ dataplane, done, failed });
        if (!flushing) {
          flushing = true;
          setImmediate(() => void flush());
        }
      });
    },
    release(proxy) {
      const entry = registered.get(keyText({ type: 'Dataplane', ...proxy }));
      if (entry === undefined) return;
      entry.streams -= 1;
      if (entry.streams > 0) return;
      entry.removal = clock.after(options.deregistrationDelayMs, () => void remove(proxy));
    },
    close() {
      for (const entry of registered.values()) entry.removal?.cancel();
      registered.clear();
    },
  };
}

function sameContent(a: Resource, b: Resource): boolean {
  return stableJson([a.spec, a.meta.labels]) === stableJson([b.spec, b.meta.labels]);
}
