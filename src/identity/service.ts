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
import { createTrustStore } from '../x509/verify.ts';
import { createAbsentLaunchers } from './absent-launcher.ts';
import { expectedLoad } from './coordinator.ts';
import type { BackendMemories } from './coordinator-memory.ts';
import { type BackendWork, createCoordinators } from './coordinators.ts';
import { decide, type IssueReason, replacementTime } from './decide.ts';
import { isDistrusted, type MeshDistrust, NO_DISTRUST } from './distrust.ts';
import { createExpiryMetrics } from './expiry-metrics.ts';
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
import { type Obtained, obtainLeaf } from './obtain.ts';
import { type KeyHolder, ProxyKeyError } from './proxy-key.ts';
import { createRenewalPlan } from './renewal-plan.ts';
import { createRenewals } from './renewals.ts';
import { createRoots } from './roots.ts';
import { createSchedule } from './schedule.ts';
import { createSealer, type LeafRecord, type LeafRecords } from './sealed.ts';
import { createTrustCache } from './trust-cache.ts';

/** So many CAs of one backend are trusted at once; a signer that has a new one with every answer is no CA to follow. */
const MOST_ROOTS = 8;
/** A key that was forgotten is kept so long when its proxy holds no leaf. Milliseconds. */
const FORGET_MS = 60_000;

interface ProxyRecord {
  readonly key: ProxyKey;
  readonly id: string;
  desired: DesiredIdentity | undefined;
  leaf: HeldLeaf | undefined;
  /** Its launcher, which makes its keys; `undefined`: not connected, or the keys are made here. */
  holder: KeyHolder | undefined;
  reason: IssueReason;
  /** Its leaf is of a CA that its backend has left: epoch ms when it gets a new one. */
  replaceAt: number | undefined;
}

export interface IdentityServiceOptions {
  readonly caKinds: readonly CaBackendKind[];
  readonly caDependencies: CaDependencies;
  readonly records: LeafRecords;
  readonly memories: BackendMemories;
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
  /** Number of proxies per mesh. */
  const meshSizes = new Map<string, number>();
  const meshes = new Map<string, MeshBackends>();
  /** mTLS of each mesh as it was told last. */
  const mtlsTexts = new Map<string, string>();
  const distrusts = new Map<string, MeshDistrust>();
  const listeners = new Set<(event: IdentityEvent) => void>();
  const sealer = createSealer(options.sealingKey);
  const writer = createLeafWriter({ records: options.records, sealer, clock, log });
  const coordinators = createCoordinators<Obtained>({
    kinds: options.caKinds,
    memories: options.memories,
    clock,
    random,
    log,
    work: workOf,
  });
  const metrics = createIssuanceMetrics(options.metrics, clock.now, () => coordinators.all());
  createExpiryMetrics(options.metrics, {
    proxies: () => proxies.values(),
    failure: ({ mesh, name }, backend) => coordinators.find(mesh, backend)?.failure(name),
    meshes: () => [...meshes].map(([mesh, backends]) => [mesh, backends.states()] as const),
    now: clock.now,
  });
  const trusts = createTrustCache();
  /** Keys beside proxies that leaves are for, and which proxy's. */
  const keysElsewhere = new Map<string, string>();
  const renewals = createRenewals();
  const plan = createRenewalPlan(random);
  const roots = createRoots(clock, (id) => meshes.get(id.split('//')[0]!)?.rootsChanged());
  const schedule = createSchedule(clock, (ids) => {
    for (const id of ids) {
      const record = proxies.get(id);
      if (record?.desired !== undefined) consider(record);
      else if (record !== undefined) forget(record);
    }
  });
  const absent = createAbsentLaunchers(schedule);
  const stopWatching = new AbortController();
  let watching: Promise<void> | undefined;
  const cleanups = new Set<Promise<void>>();
  let closed = false;

  const distrustOf = (mesh: string) => distrusts.get(mesh) ?? NO_DISTRUST;
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
        holder: undefined,
        reason: 'none-held',
        replaceAt: undefined,
      };
      proxies.set(id, record);
      meshSizes.set(key.mesh, (meshSizes.get(key.mesh) ?? 0) + 1);
    }
    return record;
  }

  const workId = (mesh: string, backend: string) => `${mesh}//${backend}`;

  /** What the coordinator of a backend does with a proxy whose turn it is. */
  function workOf(mesh: string, backend: string): BackendWork<Obtained> {
    const named = (name: string) => proxies.get(idOf({ mesh, name }));
    return {
      isReady: () => meshes.get(mesh)?.get(backend)?.trust !== undefined,
      obtain: (name) => obtain(named(name), backend),
      issued: (name, obtained) => issued(named(name), obtained),
      failed: (name, failure, error) => failed({ mesh, name }, backend, failure, error),
      throttled(perSecond) {
        metrics.throttled(mesh, backend);
        log.info('a CA backend is asked too much and says so: asked less', { mesh, backend, perSecond });
      },
      again(name) {
        const record = named(name);
        if (record !== undefined) consider(record);
      },
      waited: (ms) => metrics.waited(mesh, backend, ms / 1000),
    };
  }

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
    if (leaf === undefined || trusted !== true || !isLeaving(key.mesh, leaf, desired)) record.replaceAt = undefined;
    else record.replaceAt ??= replacementTime(leaf, now, random(), meshSizes.get(key.mesh) ?? 1);
    const decision = decide(leaf, desired, {
      now,
      trusted,
      replaceAt: record.replaceAt,
      distrusted: leaf !== undefined && isDistrusted(distrustOf(key.mesh), key.mesh, leaf),
      requestedAt: leaf === undefined ? undefined : renewals.turn(key, leaf),
      keyLost: leaf?.keyId !== undefined && record.holder?.holds(leaf.keyId) === false,
      caEndsAt: caEndOf(key.mesh, desired.backend),
    });
    if (decision.action === 'keep') {
      schedule.set(id, decision.until);
      return;
    }
    record.reason = decision.reason;
    if (desired.keys === 'proxy' && record.holder === undefined) {
      // Nobody to make a key: `setKeyHolder` looks again.
      const failure = absent.waits(id, now) ? absent.failure(id, now) : undefined;
      if (failure !== undefined) emit({ kind: 'failure', proxy: key, failure, backend: desired.backend });
      return;
    }
    absent.settled(id);
    // A leaf that its peers refuse protects as little as none.
    const urgency = decision.reason === 'distrusted' ? 0 : (leaf?.notAfter ?? 0);
    const mayAskAt = coordinators.of(key.mesh, desired.backend).ask(key.name, urgency);
    if (mayAskAt === undefined) schedule.clear(id);
    else schedule.set(id, mayAskAt);
  }

  /** Another backend issues now, or the one of this leaf has another CA than the one that signed it. */
  function isLeaving(mesh: string, leaf: HeldLeaf, desired: DesiredIdentity): boolean {
    if (leaf.backend !== desired.backend) return true;
    const backend = meshes.get(mesh)?.get(leaf.backend);
    if (backend?.trust === undefined || backend.anchors === undefined) return false;
    return !trusts.verifies(leaf, backend.anchors.issuingPem ?? backend.anchors.pem);
  }

  /** When the CA of this backend ends, as far as it says so before it signs. */
  function caEndOf(mesh: string, name: string): number | undefined {
    const backend = meshes.get(mesh)?.get(name);
    return backend?.ca.announcesWithAnswers === true ? undefined : backend?.anchors?.notAfter;
  }

  /** The one place where a proxy's leaf becomes another one. `replaced`: the proxy may present the former one for a while. */
  function swap(record: ProxyRecord, leaf: HeldLeaf | undefined, replaced = true): void {
    const former = record.leaf;
    const { mesh } = record.key;
    record.leaf = leaf;
    record.replaceAt = undefined;
    if (former?.keyId !== undefined) keysElsewhere.delete(former.keyId);
    if (leaf?.keyId !== undefined) keysElsewhere.set(leaf.keyId, record.id);
    if (leaf !== undefined) {
      roots.add(workId(mesh, leaf.backend), leaf);
      plan.add(workId(mesh, leaf.backend), leaf);
    }
    if (former === undefined) return;
    plan.remove(workId(mesh, former.backend), former);
    const same = former.backend === leaf?.backend && former.anchorPem === leaf.anchorPem;
    roots.remove(workId(mesh, former.backend), former, replaced && !same);
  }

  /** Asks the CA for the leaf that `record` wants from this backend; `undefined`: it wants none. */
  async function obtain(record: ProxyRecord | undefined, name: string): Promise<Obtained | undefined> {
    const desired = record?.desired;
    if (record === undefined || desired?.backend !== name || closed) return undefined;
    const { key, reason, holder } = record;
    if (desired.keys === 'proxy' && holder === undefined) return undefined;
    const started = clock.monotonic();
    try {
      const backend = meshes.get(key.mesh)?.get(name);
      if (backend === undefined) {
        throw new CaError('not-configured', `mesh ${key.mesh} has no open CA backend "${name}"`);
      }
      const obtained = await obtainLeaf({
        proxy: key,
        desired,
        backend,
        former: record.leaf,
        holder: desired.keys === 'proxy' ? holder : undefined,
        isKeyUsed: (keyId) => keysElsewhere.has(keyId),
        reason,
        sealer,
        clock,
        renewal: (issuedAt, end) => plan.choose(workId(key.mesh, name), issuedAt, end),
      });
      // Looked at when the answer is there: many may be under way.
      if (obtained.learned !== undefined && roots.of(workId(key.mesh, name)).length >= MOST_ROOTS) {
        throw new CaError('invalid-answer', `the CA's answer was refused: more than ${MOST_ROOTS} CAs at once`);
      }
      metrics.issued(key.mesh, name, (clock.monotonic() - started) / 1000);
      return obtained;
    } catch (error) {
      // The launcher left before it answered: as if it had not been there.
      if (error instanceof ProxyKeyError && error.code === 'away') return undefined;
      metrics.failed(key.mesh, name, codeOf(error));
      throw error;
    }
  }

  function issued(record: ProxyRecord | undefined, { leaf, learned }: Obtained): void {
    const wanted = record?.desired?.backend;
    // An answer that was under way while the mesh changed its backend, and comes after the other one's.
    if (record === undefined || (wanted !== undefined && wanted !== leaf.backend && wanted === record.leaf?.backend))
      return;
    const { key } = record;
    const reason = leaf.reason ?? record.reason;
    const mesh = meshes.get(key.mesh);
    mesh?.get(leaf.backend)?.state.issued(record.id);
    if (learned !== undefined) mesh?.learn(leaf.backend, learned.anchorPem, learned.trust);
    swap(record, leaf);
    writer.save(key, leaf);
    log.debug('leaf issued', {
      mesh: key.mesh,
      dataplane: key.name,
      backend: leaf.backend,
      reason,
      serial: leaf.serial,
    });
    emit({ kind: 'leaf', proxy: key, leaf, reason });
  }

  function failed(proxy: ProxyKey, backend: string, failure: IssuanceFailure, error: unknown): void {
    if (!(error instanceof ProxyKeyError)) meshes.get(proxy.mesh)?.get(backend)?.state.failed(idOf(proxy), error);
    log.warn('issuing a leaf failed', {
      mesh: proxy.mesh,
      dataplane: proxy.name,
      backend,
      attempts: failure.attempts,
      error: failure.message,
    });
    emit({ kind: 'failure', proxy, failure, backend });
  }

  /** A backend that does not answer at all: those that wait for their first leaf are told why. */
  function unready(mesh: string, backend: string, why: Omit<IssuanceFailure, 'at' | 'since'>): void {
    for (const { key, desired, leaf } of proxies.values()) {
      if (key.mesh !== mesh || desired?.backend !== backend || leaf !== undefined) continue;
      const failure = coordinators.of(mesh, backend).unanswered(key.name, why);
      emit({ kind: 'failure', proxy: key, failure, backend });
    }
  }

  function considerAll(mesh: string): void {
    for (const record of proxies.values()) if (record.key.mesh === mesh) consider(record);
  }

  function bundleChanged(mesh: string, bundle: TrustBundle | undefined): void {
    emit({ kind: 'bundle', mesh, bundle });
    considerAll(mesh);
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
    coordinators.find(key.mesh, backend)?.leave(key.name);
    meshes.get(key.mesh)?.get(backend)?.state.gone(id);
  }

  /** `close` waits for what is still being cleaned up. */
  function closing(cleanup: Promise<void>): void {
    cleanups.add(cleanup);
    void cleanup.finally(() => cleanups.delete(cleanup));
  }

  function forget(record: ProxyRecord): void {
    proxies.delete(record.id);
    meshSizes.set(record.key.mesh, meshSizes.get(record.key.mesh)! - 1);
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
          coordinators.configure(mesh, []);
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
          ready: (backend) => coordinators.of(mesh, backend).ready(),
          issuerChanged: () => considerAll(mesh),
          unready: (backend, failure) => unready(mesh, backend, failure),
          retained: (backend) => roots.of(workId(mesh, backend)),
          distrust: () => distrustOf(mesh),
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
      coordinators.configure(mesh, mtls.backends ?? []);
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
        absent.settled(record.id);
        record.desired = undefined;
        schedule.set(record.id, record.leaf?.notAfter ?? clock.now() + FORGET_MS);
        return;
      }
      if (record.desired?.backend !== desired.backend && record.desired !== undefined) {
        leaveBackend(record, record.desired.backend);
      }
      record.desired = desired;
      consider(record);
    },
    setKeyHolder(key, holder) {
      const record = holder === undefined ? proxies.get(idOf(key)) : recordOf(key);
      if (record === undefined) return;
      record.holder = holder;
      absent.settled(record.id);
      consider(record);
    },
    renew(request) {
      renewals.add(request, clock.now());
      const named =
        request.proxy === undefined ? undefined : proxies.get(idOf({ mesh: request.mesh, name: request.proxy }));
      if (named?.desired !== undefined) {
        const coordinator = coordinators.of(request.mesh, named.desired.backend);
        // A request that a restart reads again ends no pause that began after it.
        if ((coordinator.failure(named.key.name)?.at ?? request.at) < request.at) coordinator.hurry(named.key.name);
        consider(named);
      }
      if (request.proxy !== undefined) return;
      for (const record of proxies.values()) if (record.key.mesh === request.mesh) consider(record);
    },
    setDistrust(mesh, distrust) {
      if (stableJson(distrustOf(mesh)) === stableJson(distrust)) return;
      distrusts.set(mesh, distrust);
      meshes.get(mesh)?.distrustChanged();
      emit({ kind: 'distrust', mesh });
      for (const record of proxies.values()) {
        const { key, desired, leaf } = record;
        if (key.mesh !== mesh || desired === undefined || leaf === undefined) continue;
        if (!isDistrusted(distrust, mesh, leaf)) continue;
        coordinators.of(mesh, desired.backend).hurry(key.name);
        consider(record);
      }
    },
    distrust: distrustOf,
    notRevocable: async (mesh) => meshes.get(mesh)?.notRevocable(),
    *leaves(mesh) {
      for (const { key, leaf } of proxies.values())
        if (key.mesh === mesh && leaf !== undefined) yield { proxy: key, leaf };
    },
    state(key): IdentityState {
      const record = proxies.get(idOf(key));
      const desired = record?.desired;
      const coordinator = desired === undefined ? undefined : coordinators.find(key.mesh, desired.backend);
      const failure = absent.failure(idOf(key), clock.now()) ?? coordinator?.failure(key.name);
      return { desired, leaf: record?.leaf, failure };
    },
    bundle: (mesh) => meshes.get(mesh)?.bundle(),
    backends: (mesh) =>
      (meshes.get(mesh)?.states() ?? []).map((state) => ({
        ...state,
        ...expectedLoad(coordinators.find(mesh, state.name)?.load()),
      })),
    verifies: (leaf, bundlePem) => trusts.verifies(leaf, bundlePem),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async start() {
      const now = clock.now();
      let unreadable = 0;
      watching = options.records.watch?.(takeOver, stopWatching.signal);
      await coordinators.load();
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
      const remembering = coordinators.close();
      schedule.close();
      for (const backends of meshes.values()) closing(backends.close());
      roots.close();
      stopWatching.abort();
      await Promise.all(cleanups);
      await watching;
      await remembering;
      await writer.close();
    },
  };
}

/** One word for the metrics. */
function codeOf(error: unknown): string {
  if (error instanceof ProxyKeyError) return 'proxy-key';
  return error instanceof CaError ? error.code : 'other';
}
