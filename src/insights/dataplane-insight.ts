import type { IdentityState, ProxyKey } from '../identity/identity.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { keyText, type Resource } from '../resources/resource.ts';
import type { ResourceStore, Write } from '../store/store.ts';
import type { AcknowledgedSecrets, ProxyEvents, ProxyVersions, Rejection } from './proxy-events.ts';

const COUNTER_OF_TYPE: Readonly<Record<string, 'cds' | 'eds' | 'lds' | 'rds'>> = {
  'type.googleapis.com/envoy.config.cluster.v3.Cluster': 'cds',
  'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment': 'eds',
  'type.googleapis.com/envoy.config.listener.v3.Listener': 'lds',
  'type.googleapis.com/envoy.config.route.v3.RouteConfiguration': 'rds',
};

interface Counter {
  sent: number;
  acknowledged: number;
  rejected: number;
}

/** A proxy that waits for its first leaf is written so many delays later at the longest: most often once instead of twice. */
const FIRST_LEAF_DELAYS = 5;

/** proto3 JSON of `kuma.mesh.v1alpha1.DiscoverySubscription`. */
type Subscription = Readonly<Record<string, unknown>> & { readonly id?: string; readonly disconnectTime?: string };

interface ProxyRecord {
  readonly key: ProxyKey;
  streamId: string;
  /** Unique over all control planes of the store. */
  readonly subscriptionId: string;
  connectTime: string;
  disconnectTime: string | undefined;
  lastUpdateTime: string | undefined;
  versions: ProxyVersions;
  total: Counter;
  byType: Map<string, Counter>;
  rejections: readonly (Rejection & { readonly at: string })[];
  generationFailure: { message: string; at: string } | undefined;
  acknowledged: AcknowledgedSecrets | undefined;
  /** Former subscriptions, from the store; `undefined` until read. */
  earlier: readonly Subscription[] | undefined;
}

export interface DataplaneInsights extends ProxyEvents {
  /** Writes everything that is not written yet. */
  flush(): Promise<void>;
  /** The Dataplane is gone: its insight goes too. */
  removed(proxy: ProxyKey): void;
  close(): Promise<void>;
}

/**
 * Turns stream and issuance events into DataplaneInsights (kuma-compat 2.4, 4.4): one transaction for all that changed about `flushDelayMs` ago,
 * nothing while nothing happens. What Kuma has no field for (why a resource was refused, why a leaf is missing, when the next is due) is under `weft`.
 */
export function createDataplaneInsights(options: {
  store: ResourceStore;
  clock: Clock;
  log: Logger;
  instanceId: string;
  identityState: (proxy: ProxyKey) => IdentityState;
  /** True while the Dataplane is in the store. */
  exists: (proxy: ProxyKey) => boolean;
  flushDelayMs: number;
  /** A new UUID. */
  newId: () => string;
  /** How many connections of a proxy its insight remembers; 0: all. */
  subscriptionLimit: number;
}): DataplaneInsights {
  const { store, clock, log } = options;
  const records = new Map<string, ProxyRecord>();
  /** What is to be written, with the epoch ms since when. */
  const dirty = new Map<string, number>();
  let timer: Timer | undefined;
  let writing: Promise<void> = Promise.resolve();
  let closed = false;

  const now = () => new Date(clock.now()).toISOString();
  const idOf = (key: ProxyKey) => keyText({ type: 'DataplaneInsight', ...key });

  function touch(id: string): void {
    if (!dirty.has(id)) dirty.set(id, clock.now());
    arm();
  }

  function arm(): void {
    if (timer !== undefined || closed) return;
    timer = clock.after(options.flushDelayMs / 2, () => {
      timer = undefined;
      void writeOnce([...dirty].flatMap(([id, since]) => (isDue(id, since) ? [id] : [])));
      if (dirty.size > 0) arm();
    });
  }

  /** What follows each other closely is one write: a leaf, and that the proxy has taken it; a connection, and the first leaf. */
  function isDue(id: string, since: number): boolean {
    const age = clock.now() - since;
    const record = records.get(id);
    if (record === undefined || age >= FIRST_LEAF_DELAYS * options.flushDelayMs) return true;
    if (age < options.flushDelayMs) return false;
    if (record.disconnectTime !== undefined) return true;
    const { desired, leaf, failure } = options.identityState(record.key);
    return desired === undefined || leaf !== undefined || failure !== undefined;
  }

  function flush(): Promise<void> {
    timer?.cancel();
    timer = undefined;
    return writeOnce([...dirty.keys()]);
  }

  function writeOnce(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return writing;
    for (const id of ids) dirty.delete(id);
    writing = writing.then(() => write(ids));
    return writing;
  }

  async function write(ids: readonly string[]): Promise<void> {
    const writes: Write[] = [];
    for (const id of ids) {
      const record = records.get(id);
      if (record === undefined || !options.exists(record.key)) continue;
      try {
        record.earlier ??= await readEarlier(record);
      } catch (error) {
        log.debug('reading a dataplane insight failed', { mesh: record.key.mesh, dataplane: record.key.name, error });
        touch(id);
        continue;
      }
      writes.push({ op: 'put', resource: insightOf(record) });
      if (record.disconnectTime !== undefined) records.delete(id);
    }
    if (writes.length === 0) return;
    try {
      await store.transact(writes);
    } catch (error) {
      log.warn('writing dataplane insights failed, trying again', { count: writes.length, error });
      for (const id of ids) if (records.has(id)) touch(id);
    }
  }

  async function readEarlier(record: ProxyRecord): Promise<readonly Subscription[]> {
    const stored = await store.get({ type: 'DataplaneInsight', ...record.key });
    const subscriptions =
      (stored?.spec as { subscriptions?: readonly Subscription[] } | undefined)?.subscriptions ?? [];
    // A subscription left open belongs to a control plane that ended without closing it.
    return subscriptions
      .filter((subscription) => subscription.id !== record.subscriptionId)
      .map((subscription) =>
        subscription.disconnectTime === undefined
          ? { ...subscription, disconnectTime: record.connectTime }
          : subscription,
      )
      .slice(
        options.subscriptionLimit === 0
          ? 0
          : options.subscriptionLimit === 1
            ? Number.MAX_SAFE_INTEGER
            : 1 - options.subscriptionLimit,
      );
  }

  function insightOf(record: ProxyRecord): Resource {
    const { key } = record;
    const state = options.identityState(key);
    const leaf = state.leaf;
    const { acknowledged } = record;
    return {
      type: 'DataplaneInsight',
      meta: { mesh: key.mesh, name: key.name, labels: {}, creationTime: '', modificationTime: '', version: '' },
      spec: {
        subscriptions: [...(record.earlier ?? []), subscriptionOf(record, options.instanceId)],
        ...(leaf === undefined
          ? {}
          : {
              mTLS: {
                certificateExpirationTime: rfc3339(leaf.notAfter),
                lastCertificateRegeneration: rfc3339(leaf.issuedAt),
                certificateRegenerations: leaf.generation,
                issuedBackend: leaf.backend,
                supportedBackends: acknowledged?.backends ?? [],
              },
            }),
        weft: {
          ...(leaf === undefined
            ? {}
            : {
                certificate: {
                  serial: leaf.serial,
                  issuer: leaf.issuer,
                  uriSans: leaf.uriSans,
                  notBefore: rfc3339(leaf.notBefore),
                  renewAt: rfc3339(leaf.renewAt),
                  keys: leaf.keyId === undefined ? 'control-plane' : 'proxy',
                },
              }),
          ...(acknowledged === undefined ? {} : { acknowledged: acknowledgedJson(acknowledged) }),
          ...(state.failure === undefined
            ? {}
            : {
                issuanceFailure: {
                  message: state.failure.message,
                  at: rfc3339(state.failure.at),
                  attempts: state.failure.attempts,
                  nextAttemptAt: rfc3339(state.failure.nextAttemptAt),
                },
              }),
          ...(record.generationFailure === undefined ? {} : { generationFailure: record.generationFailure }),
          ...(record.rejections.length === 0 ? {} : { rejections: record.rejections }),
          inSync: record.total.sent === record.total.acknowledged + record.total.rejected,
        },
      },
    };
  }

  /** The record, when `streamId` is still the proxy's current stream. */
  function current(key: ProxyKey, streamId: string): ProxyRecord | undefined {
    const record = records.get(idOf(key));
    return record?.streamId === streamId ? record : undefined;
  }

  function count(key: ProxyKey, streamId: string, typeUrl: string, field: keyof Counter): ProxyRecord | undefined {
    const record = current(key, streamId);
    if (record === undefined) return undefined;
    record.total[field] += 1;
    const name = COUNTER_OF_TYPE[typeUrl];
    if (name !== undefined) {
      let counter = record.byType.get(name);
      if (counter === undefined) {
        counter = { sent: 0, acknowledged: 0, rejected: 0 };
        record.byType.set(name, counter);
      }
      counter[field] += 1;
    }
    record.lastUpdateTime = now();
    touch(idOf(key));
    return record;
  }

  return {
    connected(key, streamId, versions) {
      records.set(idOf(key), {
        key,
        streamId,
        subscriptionId: options.newId(),
        connectTime: now(),
        disconnectTime: undefined,
        lastUpdateTime: undefined,
        versions,
        total: { sent: 0, acknowledged: 0, rejected: 0 },
        byType: new Map(),
        rejections: [],
        generationFailure: undefined,
        acknowledged: undefined,
        earlier: undefined,
      });
      touch(idOf(key));
    },
    sent(key, streamId, typeUrl) {
      count(key, streamId, typeUrl, 'sent');
    },
    acked(key, streamId, typeUrl) {
      count(key, streamId, typeUrl, 'acknowledged');
    },
    nacked(key, streamId, typeUrl) {
      count(key, streamId, typeUrl, 'rejected');
    },
    secretsAcknowledged(key, streamId, secrets) {
      const record = current(key, streamId);
      if (record === undefined) return;
      record.acknowledged = secrets;
      touch(idOf(key));
    },
    rejections(key, streamId, rejections) {
      const record = current(key, streamId);
      if (record === undefined) return;
      const at = now();
      record.rejections = rejections.map((rejection) => ({
        ...rejection,
        at:
          record.rejections.find((former) => former.type === rejection.type && former.message === rejection.message)
            ?.at ?? at,
      }));
      touch(idOf(key));
    },
    generated(key, failure) {
      const record = records.get(idOf(key));
      if (record === undefined) return;
      record.generationFailure = failure === undefined ? undefined : { message: failure, at: now() };
      touch(idOf(key));
    },
    identityChanged(key) {
      if (!records.has(idOf(key))) return;
      touch(idOf(key));
      // The proxy takes it in a moment.
      dirty.set(idOf(key), clock.now());
    },
    disconnected(key, streamId) {
      const record = current(key, streamId);
      if (record === undefined) return;
      record.disconnectTime = now();
      touch(idOf(key));
    },
    removed(key) {
      records.delete(idOf(key));
      store.delete({ type: 'DataplaneInsight', ...key }).catch((error: unknown) => {
        log.debug('removing a dataplane insight failed', { mesh: key.mesh, dataplane: key.name, error });
      });
    },
    flush,
    async close() {
      const at = now();
      for (const [id, record] of records) {
        record.disconnectTime ??= at;
        dirty.set(id, clock.now());
      }
      closed = true;
      await flush();
    },
  };
}

function acknowledgedJson({ roots, leaf }: AcknowledgedSecrets): object {
  if (leaf === undefined) return { roots };
  const { serial, backend, root, notAfter } = leaf;
  return {
    roots,
    certificate: { serial, backend, ...(root === undefined ? {} : { root }), notAfter: rfc3339(notAfter) },
  };
}

function subscriptionOf(record: ProxyRecord, instanceId: string): Subscription {
  const { versions } = record;
  return {
    id: record.subscriptionId,
    controlPlaneInstanceId: instanceId,
    connectTime: record.connectTime,
    ...(record.disconnectTime === undefined ? {} : { disconnectTime: record.disconnectTime }),
    status: {
      ...(record.lastUpdateTime === undefined ? {} : { lastUpdateTime: record.lastUpdateTime }),
      total: counterJson(record.total),
      cds: counterJson(record.byType.get('cds')),
      eds: counterJson(record.byType.get('eds')),
      lds: counterJson(record.byType.get('lds')),
      rds: counterJson(record.byType.get('rds')),
    },
    version: { ...versions },
  };
}

/** proto3 JSON: 64-bit numbers are strings, zero is left out. */
function counterJson(counter: Counter | undefined): Record<string, string> {
  const fields: [string, number | undefined][] = [
    ['responsesSent', counter?.sent],
    ['responsesAcknowledged', counter?.acknowledged],
    ['responsesRejected', counter?.rejected],
  ];
  return Object.fromEntries(fields.flatMap(([name, value]) => (value ? [[name, String(value)]] : [])));
}

function rfc3339(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
