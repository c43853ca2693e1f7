import type { BackendConfig, CaBackend, CaBackendKind, CaDependencies, TrustAnchors } from '../ca/backend.ts';
import { CaError } from '../ca/backend.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { contentHash, stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import type { MeshMtls, MtlsBackend } from '../resources/kinds/mesh.ts';
import { mergeBundles } from '../x509/chain.ts';
import { createTrustStore, type TrustStore } from '../x509/verify.ts';
import type { TrustBundle } from './identity.ts';

/** One open backend of one mesh. */
export interface OpenBackend {
  readonly name: string;
  readonly ca: CaBackend;
  /** What its leaves must chain to; `undefined` until the backend has announced it. */
  readonly trust: TrustStore | undefined;
}

/** The CA backends of one mesh and what its proxies shall trust. A broken backend harms only what needs it. */
export interface MeshBackends {
  /** Opens, keeps and closes backends so that they are those of `mtls`; one whose type and conf did not change is kept as it is. */
  set(mtls: MeshMtls): void;
  /** Opens the backends again that stand on this Secret; true when there are any. */
  secretChanged(secret: string): boolean;
  get(name: string): OpenBackend | undefined;
  bundle(): TrustBundle | undefined;
  close(): void;
}

interface Opened extends OpenBackend {
  readonly key: string;
  readonly config: BackendConfig;
  readonly kind: CaBackendKind;
  readonly timeoutMs: number;
  anchors: TrustAnchors | undefined;
  trust: TrustStore | undefined;
  loading: Promise<void> | undefined;
  failures: number;
  retry: Timer | undefined;
  closed: boolean;
}

const ANCHORS_TIMEOUT_MS = 10_000;
const RETRY = { baseMs: 1000, maxMs: 60_000, jitter: 0.2 };

export function createMeshBackends(options: {
  mesh: string;
  kinds: readonly CaBackendKind[];
  deps: CaDependencies;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** The bundle is another one now. */
  changed: (bundle: TrustBundle | undefined) => void;
  /** A backend can issue now. */
  ready: (backend: string) => void;
  /** A backend does not say what to trust, so it can't issue; `attempts` in a row. It is asked again at `nextAttemptAt` (epoch ms). */
  unready: (backend: string, failure: { message: string; attempts: number; nextAttemptAt: number }) => void;
  /** How long each fetch of anchors took, in seconds. */
  observe: (backend: string, seconds: number) => void;
}): MeshBackends {
  const { mesh, clock, log } = options;
  let opened = new Map<string, Opened>();
  let bundle: TrustBundle | undefined;

  function open(backend: MtlsBackend, key: string): Opened | undefined {
    const kind = options.kinds.find((one) => one.type === backend.type);
    if (kind === undefined) {
      log.error('a CA backend has an unknown type', { mesh, backend: backend.name, type: backend.type });
      return undefined;
    }
    const config = { mesh, name: backend.name, type: backend.type, conf: backend.conf ?? {} };
    const one: Opened = {
      name: backend.name,
      key,
      config,
      kind,
      ca: kind.open(config, options.deps),
      timeoutMs: secondsToMs(backend.rootChain?.requestTimeout) ?? ANCHORS_TIMEOUT_MS,
      anchors: undefined,
      trust: undefined,
      loading: undefined,
      failures: 0,
      retry: undefined,
      closed: false,
    };
    return one;
  }

  /** Asks a backend what to trust; after a failure again, with growing pauses, until it answers. Never rejects. */
  function load(one: Opened): void {
    one.loading ??= fetchAnchors(one)
      .catch((error: unknown) => {
        if (one.closed) return;
        one.failures += 1;
        const delayMs = backoffMs(one.failures, { ...RETRY, random: options.random() });
        const message = `fetch the trust anchors of backend "${one.name}" of mesh ${mesh}: ${reason(error)}`;
        // The first failure is ordinary: a Mesh is seen a moment before its builtin CA is made.
        if (one.failures > 1) {
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
      });
  }

  function again(one: Opened, delayMs: number): void {
    one.retry?.cancel();
    one.retry = clock.after(delayMs, () => load(one));
  }

  async function fetchAnchors(one: Opened): Promise<void> {
    const started = clock.monotonic();
    const anchors = await withDeadline(one.timeoutMs, (signal) => one.ca.trustAnchors(signal));
    const trust = await createTrustStore(anchors.pem);
    if (one.closed) return;
    options.observe(one.name, (clock.monotonic() - started) / 1000);
    one.failures = 0;
    one.anchors = anchors;
    one.trust = trust;
    if (anchors.refreshAt !== undefined) again(one, Math.max(1000, anchors.refreshAt - clock.now()));
    merge();
    options.ready(one.name);
  }

  /** The union of what every listed backend announces (Kong Mesh, kuma-compat 1.5); a backend that has not answered yet is left out. */
  function merge(): void {
    const known = [...opened.values()].filter((one) => one.anchors !== undefined);
    let next: TrustBundle | undefined;
    if (known.length > 0) {
      const pem = mergeBundles(known.map((one) => one.anchors!.pem));
      const backends = known.map((one) => one.name).sort();
      next = { mesh, pem, version: contentHash(pem), backends };
      if (bundle?.pem === pem && bundle.backends.join() === backends.join()) return;
    } else if (bundle === undefined) return;
    bundle = next;
    options.changed(bundle);
  }

  function close(one: Opened): void {
    one.closed = true;
    one.retry?.cancel();
    void one.ca
      .close?.()
      .catch((error: unknown) => log.debug('closing a CA backend failed', { mesh, backend: one.name, error }));
  }

  return {
    set(mtls) {
      const next = new Map<string, Opened>();
      for (const backend of mtls.backends ?? []) {
        const key = stableJson([backend.type, backend.conf ?? {}, backend.rootChain ?? {}]);
        const known = opened.get(backend.name);
        const one = known?.key === key ? known : open(backend, key);
        if (one !== undefined) {
          // What was trusted stays trusted until the changed backend has answered.
          if (known !== undefined && one !== known) one.anchors = known.anchors;
          next.set(backend.name, one);
        }
      }
      const before = opened;
      opened = next;
      for (const one of before.values()) if (!next.has(one.name) || next.get(one.name) !== one) close(one);
      for (const one of next.values()) load(one);
      merge();
    },
    secretChanged(secret) {
      let found = false;
      for (const one of [...opened.values()]) {
        if (!one.kind.usedSecrets(one.config).includes(secret)) continue;
        found = true;
        close(one);
        const reopened: Opened = {
          ...one,
          ca: one.kind.open(one.config, options.deps),
          trust: undefined,
          loading: undefined,
          failures: 0,
          retry: undefined,
          closed: false,
        };
        opened.set(one.name, reopened);
        load(reopened);
      }
      return found;
    },
    get: (name) => opened.get(name),
    bundle: () => bundle,
    close() {
      for (const one of opened.values()) close(one);
      opened.clear();
    },
  };
}

/** Runs `call` with a deadline, and does not wait for a backend that ignores it. */
export async function withDeadline<T>(timeoutMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new CaError('timeout', `no answer within ${timeoutMs / 1000} s`);
    controller.abort(error);
    reject(error);
  }, timeoutMs);
  try {
    return await Promise.race([call(controller.signal), promise]);
  } finally {
    clearTimeout(timer);
  }
}

function secondsToMs(text: string | undefined): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)s$/.exec(text ?? '');
  return match ? Number(match[1]) * 1000 : undefined;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
