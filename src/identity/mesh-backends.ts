import type { BackendConfig, CaBackend, CaBackendKind, CaDependencies, TrustAnchors } from '../ca/backend.ts';
import { CaError } from '../ca/backend.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { contentHash, stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import { leafLifetimeMs, type MeshMtls, type MtlsBackend } from '../resources/kinds/mesh.ts';
import { readNode } from '../x509/certificate.ts';
import { mergeBundles, parseCertificates } from '../x509/chain.ts';
import { createTrustStore, type TrustStore } from '../x509/verify.ts';
import { type BackendStateTracker, createBackendState } from './backend-state.ts';
import { pauseBeforeAsking } from './backoff.ts';
import { askForCrl, type CrlAnswer, type CrlSubject, crlBundle, uncovered } from './crls.ts';
import type { MeshDistrust } from './distrust.ts';
import type { BackendTrust, TrustBundle, TrustedRoot } from './identity.ts';

/** One open backend of one mesh. */
export interface OpenBackend {
  readonly name: string;
  readonly ca: CaBackend;
  /** What its leaves must chain to; `undefined` until the backend has announced it. */
  readonly trust: TrustStore | undefined;
  /** What it announces now; what it announced before a change as long as `trust` is `undefined`. */
  readonly anchors: TrustAnchors | undefined;
  readonly state: BackendStateTracker;
}

/** The CA backends of one mesh and what its proxies shall trust. A broken backend harms only what needs it. */
export interface MeshBackends {
  /** Opens, keeps and closes backends so that they are those of `mtls`; one whose type and conf did not change is kept as it is. */
  set(mtls: MeshMtls): void;
  /** Opens the backends again that stand on this Secret. */
  secretChanged(secret: string): void;
  get(name: string): OpenBackend | undefined;
  /** An answer, already checked, said that the backend's CA is this one now: announced from here on. */
  learn(name: string, anchorPem: string, trust: TrustStore): void;
  /** Looks again at what the leaves of the backends stand on. */
  rootsChanged(): void;
  /** `options.distrust()` answers something else. */
  distrustChanged(): void;
  /** Why leaves of these backends can't be revoked now; `undefined`: they can. */
  notRevocable(): Promise<string | undefined>;
  bundle(): TrustBundle | undefined;
  states(): readonly BackendTrust[];
  /** Resolves when the backends have cleaned up behind themselves. */
  close(): Promise<void>;
}

interface Opened extends OpenBackend {
  readonly key: string;
  readonly config: BackendConfig;
  readonly kind: CaBackendKind;
  readonly timeoutMs: number;
  anchors: TrustAnchors | undefined;
  trust: TrustStore | undefined;
  loading: Promise<void> | undefined;
  /** It changed while it was asked: its answer may be of before. */
  askAgain: boolean;
  /** What its newest leaf stands on is as good as its answer: the backend is the one that signed it. */
  takeKnown: boolean;
  failures: number;
  /** It is only asked whether it is the same as before. */
  refreshing: boolean;
  retry: Timer | undefined;
  /** Its last CRLs; `undefined`: it was not asked. */
  crls: CrlAnswer | undefined;
  closed: boolean;
}

const ANCHORS_TIMEOUT_MS = 10_000;

export function createMeshBackends(options: {
  mesh: string;
  kinds: readonly CaBackendKind[];
  deps: CaDependencies;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** The bundle is another one now. */
  changed: (bundle: TrustBundle | undefined) => void;
  /** A backend issues from another of the CAs that are trusted. */
  issuerChanged: () => void;
  /** A backend can issue now. */
  ready: (backend: string) => void;
  /** A backend does not say what to trust, so it can't issue; `attempts` in a row. It is asked again at `nextAttemptAt` (epoch ms). */
  unready: (backend: string, failure: { message: string; attempts: number; nextAttemptAt: number }) => void;
  /** PEM of the anchors that unexpired leaves of the backend stand on. */
  retained: (backend: string) => readonly string[];
  distrust: () => MeshDistrust;
  /** The anchor of its newest leaf. */
  newest: (backend: string) => string | undefined;
  /** `states()` answers something else. */
  statesChanged: () => void;
  /** How long each fetch of anchors took, in seconds. */
  observe: (backend: string, seconds: number) => void;
}): MeshBackends {
  const { mesh, clock, log } = options;
  let opened = new Map<string, Opened>();
  let enabled = '';
  let bundle: TrustBundle | undefined;
  let signing = Promise.resolve();
  let notCovered: string | undefined;

  function open(backend: MtlsBackend, key: string, takeKnown: boolean): Opened | undefined {
    const kind = options.kinds.find((one) => one.type === backend.type);
    if (kind === undefined) {
      log.error('a CA backend has an unknown type', { mesh, backend: backend.name, type: backend.type });
      return undefined;
    }
    const config = {
      mesh,
      name: backend.name,
      type: backend.type,
      conf: backend.conf ?? {},
      leafLifetimeMs: leafLifetimeMs(backend),
    };
    const one: Opened = {
      name: backend.name,
      key,
      config,
      kind,
      ca: kind.open(config, options.deps),
      timeoutMs: secondsToMs(backend.rootChain?.requestTimeout) ?? ANCHORS_TIMEOUT_MS,
      anchors: undefined,
      trust: undefined,
      state: createBackendState(clock.now, options.statesChanged),
      loading: undefined,
      askAgain: false,
      takeKnown,
      failures: 0,
      refreshing: false,
      retry: undefined,
      crls: undefined,
      closed: false,
    };
    listen(one);
    return one;
  }

  function listen(one: Opened): void {
    one.ca.notices?.((notice) => {
      if (one.closed) return;
      if (notice.kind === 'problem') {
        one.state.problem(notice.problem);
        return;
      }
      if (notice.kind === 'remark') {
        one.state.remark(notice.remark);
        return;
      }
      one.takeKnown = false;
      one.failures = 0;
      one.retry?.cancel();
      if (one.loading !== undefined) one.askAgain = true;
      else load(one);
    });
  }

  /** Asks a backend what to trust; after a failure again, with growing pauses, until it answers. Never rejects. */
  function load(one: Opened, refreshing = false): void {
    if (!refreshing || one.loading === undefined) one.refreshing = refreshing;
    one.loading ??= fetchAnchors(one)
      .catch((error: unknown) => {
        if (one.closed) return;
        one.failures += 1;
        const delayMs = pauseBeforeAsking(error, one.failures, options.random());
        const message = `fetch the trust anchors of backend "${one.name}" of mesh ${mesh}: ${reason(error)}`;
        // That it is not set up at first is ordinary: a Mesh is seen a moment before its builtin CA is made.
        if (one.failures > 1 || !(error instanceof CaError && error.code === 'not-configured')) {
          one.state.silent(error);
          log.warn('a CA backend does not say what to trust, trying again', {
            mesh,
            backend: one.name,
            error: message,
          });
          options.unready(one.name, { message, attempts: one.failures, nextAttemptAt: clock.now() + delayMs });
        }
        again(one, delayMs);
      })
      .finally(() => {
        one.loading = undefined;
        if (!one.askAgain || one.closed) return;
        one.askAgain = false;
        load(one);
      });
  }

  function again(one: Opened, delayMs: number, refreshing = false): void {
    one.retry?.cancel();
    one.retry = clock.after(delayMs, () => load(one, refreshing));
  }

  async function fetchAnchors(one: Opened): Promise<void> {
    const started = clock.monotonic();
    const known = one.takeKnown && one.ca.announcesWithAnswers === true ? options.newest(one.name) : undefined;
    const anchors =
      known === undefined
        ? await withDeadline(one.timeoutMs, (signal) => one.ca.trustAnchors(signal))
        : anchorOf(known);
    const trust = await createTrustStore(anchors.pem);
    await signCrls(one);
    if (one.closed) return;
    options.observe(one.name, (clock.monotonic() - started) / 1000);
    const before = one.anchors;
    const asBefore = one.refreshing && before?.pem === anchors.pem && before.issuingPem === anchors.issuingPem;
    one.failures = 0;
    one.anchors = anchors;
    one.trust = trust;
    one.state.announced();
    if (anchors.refreshAt !== undefined) again(one, Math.max(1000, anchors.refreshAt - clock.now()), true);
    merge();
    // Trusted as before, and another one issues: no news for the bundle.
    if (before !== undefined && before.issuingPem !== anchors.issuingPem) {
      options.issuerChanged();
      options.statesChanged();
    }
    // Being what it was ends no pause.
    if (!asBefore) options.ready(one.name);
  }

  /**
   * The union of what every listed backend announces (Kong Mesh, kuma-compat 1.5) and of what its leaves stand on; a backend of which nothing is known
   * yet is left out.
   */
  function merge(): void {
    const pems = new Map<string, readonly string[]>();
    const distrust = options.distrust();
    for (const { name, anchors } of opened.values()) {
      if (distrust.backends.includes(name)) continue;
      const known = [...(anchors === undefined ? [] : [anchors.pem]), ...options.retained(name)];
      if (known.length > 0) pems.set(name, known);
    }
    let next: TrustBundle | undefined;
    if (pems.size > 0) {
      const pem = mergeBundles([...pems.values()].flat());
      const backends = [...pems.keys()].sort();
      const crlPem = currentCrls(distrust);
      // What is revoked must not be accepted while a backend is being asked.
      if (crlPem === 'pending') return;
      next = {
        mesh,
        pem,
        ...(crlPem === undefined ? {} : { crlPem }),
        ...(distrust.epoch === 0 ? {} : { distrustEpoch: distrust.epoch }),
        version: contentHash(pem + (crlPem ?? '')),
        backends,
      };
      if (bundle !== undefined && sameTrust(bundle, next)) return;
    } else if (bundle === undefined) return;
    bundle = next;
    options.changed(bundle);
    options.statesChanged();
  }

  async function signCrls(one: Opened): Promise<void> {
    const distrust = options.distrust();
    if (distrust.leaves.length === 0) one.crls = undefined;
    else one.crls = await askForCrl(one.name, one.ca, distrust.leaves, clock);
  }

  /** `undefined`: nothing is revoked, or nothing can be. */
  function currentCrls(distrust: MeshDistrust): string | 'pending' | undefined {
    if (distrust.leaves.length === 0) return undefined;
    const subjects: CrlSubject[] = [];
    for (const { name, anchors, crls, failures } of opened.values()) {
      const retained = options.retained(name);
      const isTrusted = anchors !== undefined || retained.length > 0;
      if (!isTrusted || distrust.backends.includes(name)) continue;
      if (crls === undefined && failures === 0) return 'pending';
      subjects.push({ name, retained, answer: crls ?? { kind: 'none', why: 'does not answer' } });
    }
    const why = uncovered(subjects);
    if (why !== undefined && why !== notCovered)
      log.warn('revoked certificates are not refused', { mesh, reason: why });
    notCovered = why;
    return why === undefined ? crlBundle(subjects) : undefined;
  }

  function rootsOf(one: Opened): readonly TrustedRoot[] {
    const parse = (pem: string | undefined) => (pem === undefined ? [] : parseCertificates(pem));
    const current = parse(one.anchors?.issuingPem ?? one.anchors?.pem);
    const others = [...parse(one.anchors?.pem), ...options.retained(one.name).flatMap(parse)];
    const isNew = (der: Buffer, index: number) =>
      ![...current, ...others.slice(0, index)].some((other) => other.equals(der));
    return [...current.map((der) => rootOf(der, true)), ...others.filter(isNew).map((der) => rootOf(der, false))];
  }

  async function close(one: Opened): Promise<void> {
    one.closed = true;
    one.retry?.cancel();
    await one.ca
      .close?.()
      .catch((error: unknown) => log.debug('closing a CA backend failed', { mesh, backend: one.name, error }));
  }

  return {
    set(mtls) {
      enabled = mtls.enabledBackend ?? '';
      const next = new Map<string, Opened>();
      for (const backend of mtls.backends ?? []) {
        const key = stableJson([backend.type, backend.conf ?? {}, backend.rootChain ?? {}]);
        const known = opened.get(backend.name);
        const one = known?.key === key ? known : open(backend, key, known === undefined);
        if (one !== undefined) {
          // What was trusted stays trusted until the changed backend has answered.
          if (known !== undefined && one !== known) one.anchors = known.anchors;
          next.set(backend.name, one);
        }
      }
      const before = opened;
      opened = next;
      for (const one of before.values()) if (!next.has(one.name) || next.get(one.name) !== one) void close(one);
      for (const one of next.values()) load(one);
      merge();
    },
    secretChanged(secret) {
      for (const one of [...opened.values()]) {
        if (!one.kind.usedSecrets(one.config).includes(secret)) continue;
        void close(one);
        const reopened: Opened = {
          ...one,
          ca: one.kind.open(one.config, options.deps),
          trust: undefined,
          loading: undefined,
          askAgain: false,
          takeKnown: false,
          failures: 0,
          refreshing: false,
          retry: undefined,
          closed: false,
        };
        opened.set(one.name, reopened);
        listen(reopened);
        load(reopened);
      }
    },
    get: (name) => opened.get(name),
    learn(name, anchorPem, trust) {
      const one = opened.get(name);
      if (one === undefined || one.anchors?.pem === anchorPem) return;
      if (one.anchors !== undefined) log.info('the CA of a backend is another one now', { mesh, backend: name });
      one.anchors = anchorOf(anchorPem);
      one.trust = trust;
      one.state.announced();
      merge();
    },
    rootsChanged: merge,
    distrustChanged() {
      // One after the other: an older answer never takes the place of a newer one.
      signing = signing.then(async () => {
        await Promise.all([...opened.values()].map(signCrls));
        merge();
      });
    },
    async notRevocable() {
      const distrusted = options.distrust().backends;
      const asked = [...opened.values()].filter(({ name }) => !distrusted.includes(name));
      const subjects = asked.map(async ({ name, ca }) => {
        return { name, retained: options.retained(name), answer: await askForCrl(name, ca, [], clock) };
      });
      return uncovered(await Promise.all(subjects));
    },
    bundle: () => bundle,
    states: () =>
      [...opened.values()].map((one) => ({
        name: one.name,
        type: one.config.type,
        enabled: one.name === enabled,
        ...one.state.health(),
        roots: rootsOf(one),
      })),
    async close() {
      const all = [...opened.values()];
      opened.clear();
      await Promise.all(all.map(close));
    },
  };
}

/** Nothing that reaches a proxy is another. A CRL that says the same is another text with each signature, so it is its own question. */
function sameTrust(a: TrustBundle, b: TrustBundle): boolean {
  return (
    a.pem === b.pem &&
    a.crlPem === b.crlPem &&
    a.distrustEpoch === b.distrustEpoch &&
    a.backends.join() === b.backends.join()
  );
}

const LAST_WORD_MS = 50;

/** Runs `call` with a deadline, and does not wait for a backend that ignores it. */
export async function withDeadline<T>(timeoutMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  let late: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    const error = new CaError('timeout', `no answer within ${timeoutMs / 1000} s`);
    controller.abort(error);
    // A backend that listens says better what it was waiting for.
    late = setTimeout(reject, LAST_WORD_MS, error);
  }, timeoutMs);
  try {
    return await Promise.race([call(controller.signal), promise]);
  } finally {
    clearTimeout(timer);
    clearTimeout(late);
  }
}

function anchorOf(pem: string): TrustAnchors {
  return { pem, notAfter: Math.min(...parseCertificates(pem).map((der) => readNode(der).validToDate.getTime())) };
}

function rootOf(der: Buffer, current: boolean): TrustedRoot {
  const node = readNode(der);
  return {
    subject: node.subject.split('\n').reverse().join(','),
    fingerprint: node.fingerprint256,
    notBefore: node.validFromDate.getTime(),
    notAfter: node.validToDate.getTime(),
    current,
  };
}

function secondsToMs(text: string | undefined): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)s$/.exec(text ?? '');
  return match ? Number(match[1]) * 1000 : undefined;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
