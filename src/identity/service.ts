/**
 * Issuance, beside configuration and never in its way (`identity.ts` has the contract).
 *
 * ```
 * want ── decide ──> keep: renewal in the one schedule
 *              └───> issue: queue of the backend ── breaker ──> key, sign, verify ──> held leaf ──> event, sealed record
 *                                                                      ├─ failed: the old leaf stays, backoff of the proxy
 *                                                                      └─ refused: the same, and one asks again for all (`refusals.ts`)
 * ```
 */
import { type CaBackendKind, type CaDependencies, CaError } from '../ca/backend.ts';
import type { Clock } from '../lib/clock.ts';
import { stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import { readNode } from '../x509/certificate.ts';
import { parseCertificates, reachesAnchor } from '../x509/chain.ts';
import { createTrustStore } from '../x509/verify.ts';
import { isRefusal, pauseAfter } from './backoff.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { decide, type IssueReason, replacementTime } from './decide.ts';
import type {
  DesiredIdentity,
  HeldLeaf,
  IdentityEvent,
  IdentityService,
  IdentityState,
  IssuanceFailure,
  ProxyKey,
  TrustBundle,
} from './identity.ts';
import { createIssuanceMetrics } from './issuance-metrics.ts';
import { createLeafWriter } from './leaf-writer.ts';
import { createMeshBackends, type MeshBackends } from './mesh-backends.ts';
import { obtainLeaf } from './obtain.ts';
import { createIssuanceQueue, type IssuanceQueue } from './queue.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import { createRenewals } from './renewals.ts';
import { createRoots } from './roots.ts';
import { createSchedule } from './schedule.ts';
import { createSealer, type LeafRecord, type LeafRecords } from './sealed.ts';

const CONCURRENCY = 32;
/** So many CAs of one backend are trusted at once; a signer that has a new one with every answer is no CA to follow. */
const MOST_ROOTS = 8;
/** A key that was forgotten is kept so long when its proxy holds no leaf. Milliseconds. */
const FORGET_MS = 60_000;

interface ProxyRecord {
  readonly key: ProxyKey;
  readonly id: string;
  desired: DesiredIdentity | undefined;
  leaf: HeldLeaf | undefined;
  failure: IssuanceFailure | undefined;
  reason: IssueReason;
  /** Its leaf is of a CA that its backend has left: epoch ms when it gets a new one. */
  replaceAt: number | undefined;
}

interface BackendWork {
  readonly queue: IssuanceQueue;
  readonly breaker: Breaker;
  readonly refusals: Refusals;
}

export interface IdentityServiceOptions {
  readonly caKinds: readonly CaBackendKind[];
  readonly caDependencies: CaDependencies;
  readonly records: LeafRecords;
  /** 32 bytes. */
  readonly sealingKey: Buffer;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export function createIdentityService(options: IdentityServiceOptions): IdentityService {
  const { clock, random, log } = options;
  const proxies = new Map<string, ProxyRecord>();
  const meshes = new Map<string, MeshBackends>();
  /** mTLS of each mesh as it was told last. */
  const mtlsTexts = new Map<string, string>();
  const work = new Map<string, BackendWork>();
  const listeners = new Set<(event: IdentityEvent) => void>();
  const sealer = createSealer(options.sealingKey);
  const writer = createLeafWriter({ records: options.records, sealer, clock, log });
  const metrics = createIssuanceMetrics(options.metrics, () => work);
  const trusts = createTrustCache();
  const renewals = createRenewals();
  const roots = createRoots(clock, (id) => meshes.get(id.split('//')[0]!)?.rootsChanged());
  const schedule = createSchedule(clock, (ids) => {
    for (const id of ids) {
      const record = proxies.get(id);
      if (record?.desired !== undefined) consider(record);
      else if (record !== undefined) forget(record);
      else work.get(id)?.queue.wake();
    }
  });
  const stopWatching = new AbortController();
  let watching: Promise<void> | undefined;
  const cleanups = new Set<Promise<void>>();
  let closed = false;

  const idOf = (key: ProxyKey) => `${key.mesh}/${key.name}`;
  const emit = (event: IdentityEvent) => {
    for (const listener of listeners) listener(event);
  };

  function recordOf(key: ProxyKey): ProxyRecord {
    const id = idOf(key);
    let record = proxies.get(id);
    if (record === undefined) {
      record = {
        key,
        id,
        desired: undefined,
        leaf: undefined,
        failure: undefined,
        reason: 'none-held',
        replaceAt: undefined,
      };
      proxies.set(id, record);
    }
    return record;
  }

  /** Work of one backend of one mesh; its id can't be a proxy's: those have one slash. */
  function workOf(id: string): BackendWork {
    let one = work.get(id);
    const [mesh, backend] = id.split('//') as [string, string];
    if (one === undefined) {
      const breaker = createBreaker(random);
      const refusals = createRefusals(random);
      const queue = createIssuanceQueue({
        mayRun: () => {
          if (meshes.get(mesh)?.get(backend)?.trust === undefined) return 0;
          const state = breaker.state(clock.now());
          if (state === 'go') return CONCURRENCY;
          if (state === 'probe') return 1;
          schedule.set(id, state);
          return 0;
        },
        run: (proxyId) => issue(proxyId, breaker, refusals),
        // What is wanted may have changed meanwhile.
        done: (proxyId) => {
          const record = proxies.get(proxyId);
          if (record !== undefined) consider(record);
        },
      });
      one = { queue, breaker, refusals };
      work.set(id, one);
    }
    return one;
  }

  const workId = (mesh: string, backend: string) => `${mesh}//${backend}`;

  /** Looks at what the proxy has and should have, and puts it where it belongs: the schedule or a queue. */
  function consider(record: ProxyRecord): void {
    const { desired, leaf, key, id } = record;
    if (desired === undefined || closed) return;
    const now = clock.now();
    const bundle = meshes.get(key.mesh)?.bundle();
    const trusted =
      leaf === undefined || bundle === undefined || !bundle.backends.includes(leaf.backend)
        ? undefined
        : trusts.verifies(leaf, bundle.pem);
    if (leaf === undefined || trusted !== true || !isSuperseded(key.mesh, leaf)) record.replaceAt = undefined;
    else record.replaceAt ??= replacementTime(leaf, now, random());
    const requestedAt = leaf === undefined ? undefined : renewals.turn(key, leaf);
    const decision = decide(leaf, desired, now, trusted, record.replaceAt, requestedAt);
    if (decision.action === 'keep') {
      const { replaceAt = Number.POSITIVE_INFINITY } = record;
      schedule.set(id, Math.min(leaf!.renewAt, replaceAt, requestedAt ?? Number.POSITIVE_INFINITY));
      return;
    }
    record.reason = decision.reason;
    if (record.failure !== undefined && record.failure.nextAttemptAt > now) {
      schedule.set(id, record.failure.nextAttemptAt);
      return;
    }
    const { queue, refusals } = workOf(workId(key.mesh, desired.backend));
    const turn = refusals.turn(id, now);
    if (turn > now) {
      if (record.failure !== undefined) record.failure = { ...record.failure, nextAttemptAt: turn };
      schedule.set(id, turn);
      return;
    }
    schedule.clear(id);
    queue.add(id, leaf?.notAfter ?? 0);
  }

  /** The backend of this leaf announces another CA than the one that signed it. */
  function isSuperseded(mesh: string, leaf: HeldLeaf): boolean {
    const backend = meshes.get(mesh)?.get(leaf.backend);
    if (backend?.trust === undefined || backend.anchors === undefined) return false;
    return !trusts.verifies(leaf, backend.anchors.pem);
  }

  /** The one place where a proxy's leaf becomes another one. `replaced`: the proxy may present the former one for a while. */
  function swap(record: ProxyRecord, leaf: HeldLeaf | undefined, replaced = true): void {
    const former = record.leaf;
    const { mesh } = record.key;
    record.leaf = leaf;
    record.replaceAt = undefined;
    if (leaf !== undefined) roots.add(workId(mesh, leaf.backend), leaf);
    if (former === undefined) return;
    const same = former.backend === leaf?.backend && former.anchorPem === leaf.anchorPem;
    roots.remove(workId(mesh, former.backend), former, replaced && !same);
  }

  async function issue(id: string, breaker: Breaker, refusals: Refusals): Promise<void> {
    const record = proxies.get(id);
    const desired = record?.desired;
    if (record === undefined || desired === undefined || closed) return;
    const { key, reason } = record;
    const backend = meshes.get(key.mesh)?.get(desired.backend);
    const started = clock.monotonic();
    try {
      if (backend === undefined) {
        throw new CaError('not-configured', `mesh ${key.mesh} has no open CA backend "${desired.backend}"`);
      }
      const { leaf, learned } = await obtainLeaf({
        proxy: key,
        desired,
        backend,
        former: record.leaf,
        reason,
        sealer,
        clock,
        random,
      });
      // Looked at when the answer is there: many may be under way.
      if (learned !== undefined && roots.of(workId(key.mesh, desired.backend)).length >= MOST_ROOTS) {
        throw new CaError('invalid-answer', `the CA's answer was refused: more than ${MOST_ROOTS} CAs at once`);
      }
      metrics.issued(key.mesh, desired.backend, (clock.monotonic() - started) / 1000);
      const healed = refusals.succeeded(id);
      if (breaker.succeeded() || healed) {
        refusals.hurry(clock.now());
        retryAll(key.mesh, desired.backend);
      }
      if (closed) return;
      backend.state.issued(id);
      if (learned !== undefined) meshes.get(key.mesh)?.learn(backend.name, learned.anchorPem, learned.trust);
      swap(record, leaf);
      record.failure = undefined;
      writer.save(key, leaf);
      log.debug('leaf issued', {
        mesh: key.mesh,
        dataplane: key.name,
        backend: leaf.backend,
        reason,
        serial: leaf.serial,
      });
      emit({ kind: 'leaf', proxy: key, leaf, reason });
    } catch (error) {
      const now = clock.now();
      const again = refusals.has(id);
      // Who was refused before tells nothing new of the others.
      if (!again) breaker.failed(id, now);
      const nextTurn = again || isRefusal(error) ? refusals.failed(id, now) : undefined;
      metrics.failed(key.mesh, error instanceof CaError ? error.code : 'other');
      // Who stops asking is no failure of the backend.
      if (record.desired !== undefined && !closed) backend?.state.failed(id, error);
      fail(record, desired.backend, error, nextTurn);
    }
  }

  function fail(record: ProxyRecord, backend: string, error: unknown, nextTurn: number | undefined): void {
    const now = clock.now();
    const attempts = (record.failure?.attempts ?? 0) + 1;
    const message = `issue a leaf for ${record.key.name} of mesh ${record.key.mesh} from backend "${backend}": ${error instanceof Error ? error.message : error}`;
    record.failure = {
      message,
      at: now,
      since: record.failure?.since ?? now,
      attempts,
      nextAttemptAt: nextTurn ?? now + pauseAfter(attempts, random()),
    };
    log.warn('issuing a leaf failed', {
      mesh: record.key.mesh,
      dataplane: record.key.name,
      backend,
      attempts,
      error: message,
    });
    emit({ kind: 'failure', proxy: record.key, failure: record.failure, backend });
  }

  /** What failed before may go right now: no waiting for each proxy's own backoff. */
  function retryAll(mesh: string, backend: string): void {
    for (const record of proxies.values()) {
      if (record.key.mesh !== mesh || record.desired?.backend !== backend || record.failure === undefined) continue;
      record.failure = { ...record.failure, nextAttemptAt: clock.now() };
      consider(record);
    }
  }

  /** A backend that does not answer at all: those that wait for their first leaf are told why. */
  function unready(mesh: string, backend: string, failure: Omit<IssuanceFailure, 'at' | 'since'>): void {
    for (const record of proxies.values()) {
      if (record.key.mesh !== mesh || record.desired?.backend !== backend || record.leaf !== undefined) continue;
      const now = clock.now();
      record.failure = { ...failure, at: now, since: record.failure?.since ?? now };
      emit({ kind: 'failure', proxy: record.key, failure: record.failure, backend });
    }
  }

  function bundleChanged(mesh: string, bundle: TrustBundle | undefined): void {
    emit({ kind: 'bundle', mesh, bundle });
    for (const record of proxies.values()) if (record.key.mesh === mesh) consider(record);
  }

  /** Another control plane issued this leaf: its proxy may come here with it. */
  function takeOver(stored: LeafRecord): void {
    const known = proxies.get(idOf(stored.proxy));
    if (closed || known?.desired !== undefined) return;
    const leaf = sealer.open(stored);
    if (leaf === undefined || leaf.issuedAt <= (known?.leaf?.issuedAt ?? 0) || leaf.notAfter <= clock.now()) return;
    const record = recordOf(stored.proxy);
    swap(record, leaf);
    schedule.set(record.id, leaf.notAfter);
    void learnFromLeaf(stored.proxy.mesh, leaf).catch((error: unknown) =>
      log.debug('reading the CA of a leaf failed', { mesh: stored.proxy.mesh, backend: leaf.backend, error }),
    );
  }

  /** A leaf from another control plane says which CA the backend has now, when that is known from answers only. */
  async function learnFromLeaf(mesh: string, leaf: HeldLeaf): Promise<void> {
    const backend = meshes.get(mesh)?.get(leaf.backend);
    const newest = roots.newest(workId(mesh, leaf.backend));
    if (backend?.trust === undefined || backend.ca.announcesWithAnswers !== true || newest === undefined) return;
    if (newest === backend.anchors?.pem) return;
    meshes.get(mesh)?.learn(leaf.backend, newest, await createTrustStore(newest));
  }

  function leaveBackend({ key, id }: ProxyRecord, backend: string): void {
    const left = work.get(workId(key.mesh, backend));
    left?.queue.drop(id);
    left?.refusals.gone(id);
    meshes.get(key.mesh)?.get(backend)?.state.gone(id);
  }

  /** `close` waits for what is still being cleaned up. */
  function closing(cleanup: Promise<void>): void {
    cleanups.add(cleanup);
    void cleanup.finally(() => cleanups.delete(cleanup));
  }

  function forget(record: ProxyRecord): void {
    proxies.delete(record.id);
    const { leaf } = record;
    swap(record, undefined, false);
    if (leaf !== undefined) writer.remove(record.key);
  }

  return {
    setMesh(mesh, mtls) {
      const known = meshes.get(mesh);
      if (mtls === undefined || !mtls.enabledBackend) {
        if (known !== undefined) closing(known.close());
        mtlsTexts.delete(mesh);
        if (meshes.delete(mesh)) {
          emit({ kind: 'bundle', mesh, bundle: undefined });
          emit({ kind: 'backends', mesh });
        }
        return;
      }
      const backends =
        known ??
        createMeshBackends({
          mesh,
          kinds: options.caKinds,
          deps: options.caDependencies,
          clock,
          random,
          log,
          changed: (bundle) => bundleChanged(mesh, bundle),
          ready: (backend) => {
            const one = workOf(workId(mesh, backend));
            one.breaker.succeeded();
            one.refusals.clear();
            retryAll(mesh, backend);
            one.queue.wake();
          },
          unready: (backend, failure) => unready(mesh, backend, failure),
          retained: (backend) => roots.of(workId(mesh, backend)),
          newest: (backend) => roots.newest(workId(mesh, backend)),
          statesChanged: () => emit({ kind: 'backends', mesh }),
          observe: metrics.anchorsFetched,
        });
      meshes.set(mesh, backends);
      // A Mesh that was written without another mTLS, its status for one, ends no pause of a backend that said no.
      const text = stableJson(mtls);
      if (known !== undefined && mtlsTexts.get(mesh) === text) return;
      mtlsTexts.set(mesh, text);
      // Each backend says again what to trust; then it is `ready`, and who failed asks once more.
      backends.set(mtls);
      emit({ kind: 'backends', mesh });
    },
    secretChanged(mesh, secretName) {
      meshes.get(mesh)?.secretChanged(secretName);
    },
    want(key, desired) {
      const record = desired === undefined ? proxies.get(idOf(key)) : recordOf(key);
      if (record === undefined) return;
      if (desired === undefined) {
        if (record.desired === undefined) return;
        leaveBackend(record, record.desired.backend);
        record.desired = undefined;
        record.failure = undefined;
        schedule.set(record.id, record.leaf?.notAfter ?? clock.now() + FORGET_MS);
        return;
      }
      if (record.desired?.backend !== desired.backend && record.desired !== undefined) {
        leaveBackend(record, record.desired.backend);
        record.failure = undefined;
      }
      record.desired = desired;
      consider(record);
    },
    renew(request) {
      renewals.add(request, clock.now());
      for (const record of proxies.values()) {
        if (record.key.mesh !== request.mesh) continue;
        if (record.failure !== undefined && record.key.name === request.proxy) {
          record.failure = { ...record.failure, nextAttemptAt: clock.now() };
        }
        consider(record);
      }
    },
    state(key): IdentityState {
      const record = proxies.get(idOf(key));
      return { desired: record?.desired, leaf: record?.leaf, failure: record?.failure };
    },
    bundle: (mesh) => meshes.get(mesh)?.bundle(),
    backends: (mesh) => meshes.get(mesh)?.states() ?? [],
    verifies: (leaf, bundlePem) => trusts.verifies(leaf, bundlePem),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async start() {
      const now = clock.now();
      let unreadable = 0;
      watching = options.records.watch?.(takeOver, stopWatching.signal);
      for (const stored of await options.records.load()) {
        const leaf = sealer.open(stored);
        if (leaf === undefined || leaf.notAfter <= now) {
          if (leaf === undefined) unreadable += 1;
          writer.remove(stored.proxy);
          continue;
        }
        const record = recordOf(stored.proxy);
        swap(record, leaf);
        schedule.set(record.id, leaf.notAfter);
      }
      if (unreadable > 0) log.warn('sealed leaves could not be opened and are issued again', { count: unreadable });
    },
    async close() {
      closed = true;
      schedule.close();
      for (const { queue } of work.values()) queue.close();
      for (const backends of meshes.values()) closing(backends.close());
      roots.close();
      stopWatching.abort();
      await Promise.all(cleanups);
      await watching;
      await writer.close();
    },
  };
}

/** Whether a leaf chains to a bundle, remembered per leaf and bundle: a push asks for each proxy. */
function createTrustCache() {
  const anchorsOf = new Map<string, ReturnType<typeof readNode>[]>();
  const verdicts = new WeakMap<HeldLeaf, Map<string, boolean>>();
  return {
    verifies(leaf: HeldLeaf, bundlePem: string): boolean {
      let ofLeaf = verdicts.get(leaf);
      if (ofLeaf === undefined) {
        ofLeaf = new Map();
        verdicts.set(leaf, ofLeaf);
      }
      let verdict = ofLeaf.get(bundlePem);
      if (verdict === undefined) {
        let anchors = anchorsOf.get(bundlePem);
        if (anchors === undefined) {
          anchors = parseCertificates(bundlePem).map(readNode);
          if (anchorsOf.size > 100) anchorsOf.clear();
          anchorsOf.set(bundlePem, anchors);
        }
        verdict = reachesAnchor(leaf.chainPem, anchors);
        if (ofLeaf.size > 8) ofLeaf.clear();
        ofLeaf.set(bundlePem, verdict);
      }
      return verdict;
    },
  };
}
