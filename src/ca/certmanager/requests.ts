import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import type { ListWatchEvent } from '../../k8s/api/list-watch.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { Counter, Gauge, Histogram, type Metrics } from '../../lib/metrics.ts';
import { sleep } from '../../lib/wait.ts';
import { CERTIFICATE_REQUEST, type CertificateRequest } from './objects.ts';
import { deadlineOf, OWN_REQUESTS } from './request.ts';
import { type Verdict, verdictOf } from './verdict.ts';
import { type Watched, watchWhenAllowed } from './watched.ts';

/** How a request ended. */
export type Outcome = Exclude<Verdict, { kind: 'unapproved' | 'pending' }> | { readonly kind: 'deleted' };

/** What became known of a request that goes on. `waitedMs` since it was made. */
export type Progress = (verdict: Verdict, waitedMs: number) => void;

/**
 * All CertificateRequests of this process, over one label-filtered watch: no watch and no poll for any of them. A request is deleted however it ends; deleting is tried
 * again until the API server has done it. What others left behind is swept.
 */
export interface CertificateRequests {
  /** Resolves when the watch stands, or it is known why it can't; then `problem` says why. */
  readonly settled: Promise<void>;
  readonly problem: KubeError | undefined;
  /** Creates it and waits. Rejects with `KubeError` when it can't be created, and with the reason of `signal`. */
  issue(request: CertificateRequest, progress: Progress, signal: AbortSignal): Promise<Outcome>;
  /** Waits for one that is there already. */
  adopt(request: CertificateRequest, progress: Progress, signal: AbortSignal): Promise<Outcome>;
  /** A request that goes on, is waited for by nobody here, and that `wanted` takes. */
  find(wanted: (request: CertificateRequest) => boolean): CertificateRequest | undefined;
  /** Resolves when nothing is left to be deleted, at most after `STOP_MS`. */
  cleaned(): Promise<void>;
  close(): Promise<void>;
}

/** When a request without any word from an approver is called not approved. */
const APPROVAL_MS = 5000;
/** After its deadline a request of anybody is an orphan; for clocks that differ. */
const SLACK_MS = 60_000;
const SWEEP_MS = 600_000;
const DELETE_RETRY = { baseMs: 500, maxMs: 30_000, jitter: 0.5 };
const STOP_MS = 3000;

interface Waiting {
  readonly see: (request: CertificateRequest) => void;
  readonly gone: () => void;
}

export function createCertificateRequests(options: {
  client: KubeClient;
  namespace: string;
  clock: Clock;
  random: () => number;
  log: Logger;
  metrics: Metrics;
  /** `problem` is another one now. */
  changed: () => void;
}): CertificateRequests {
  const { client, namespace, clock, log } = options;
  const registers = [options.metrics];
  const waiting = new Map<string, Waiting>();
  const removing = new Map<string, Promise<void>>();
  const closing = new AbortController();
  const ended = new Counter({
    name: 'weft_certmanager_requests',
    help: 'CertificateRequests that ended, by how',
    labelNames: ['outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'weft_certmanager_request_seconds',
    help: 'Seconds from creating a CertificateRequest to its end',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const swept = new Counter({
    name: 'weft_certmanager_requests_swept',
    help: 'CertificateRequests that were left behind and swept',
    registers,
  });
  new Gauge({
    name: 'weft_certmanager_requests_live',
    help: 'CertificateRequests of this control plane that are waited for',
    registers,
    collect() {
      this.set(waiting.size);
    },
  });
  const watched: Watched<CertificateRequest> = watchWhenAllowed({
    client,
    type: CERTIFICATE_REQUEST,
    namespace,
    labelSelector: OWN_REQUESTS,
    clock,
    log,
    changed: (event) => (event === undefined ? options.changed() : follow(event)),
  });
  let sweepTimer: Timer | undefined;
  void watched.settled.then(() => sweep());

  function follow({ op, object }: ListWatchEvent<CertificateRequest>): void {
    const one = waiting.get(object.metadata.name);
    if (op === 'delete') one?.gone();
    else one?.see(object);
  }

  /** Waits for the end of `name`, which is deleted then. `begin` makes it exist. */
  async function wait(
    name: string,
    progress: Progress,
    signal: AbortSignal,
    begin: () => Promise<CertificateRequest | undefined>,
  ): Promise<Outcome> {
    signal.throwIfAborted();
    const started = clock.monotonic();
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    promise.catch(() => undefined);
    let last: Verdict = { kind: 'unapproved' };
    const waitedMs = () => clock.monotonic() - started;
    const see = (request: CertificateRequest) => {
      last = verdictOf(request);
      if (last.kind === 'pending') progress(last, waitedMs());
      else if (last.kind !== 'unapproved') resolve(last);
    };
    const approval = clock.after(APPROVAL_MS, () => {
      if (last.kind === 'unapproved') progress(last, waitedMs());
    });
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
    waiting.set(name, { see, gone: () => resolve({ kind: 'deleted' }) });
    let outcome = 'aborted';
    let exists = true;
    try {
      const present = await begin().catch((error: unknown) => {
        exists = mayExist(error);
        throw error;
      });
      if (present !== undefined) see(present);
      const result = await promise;
      outcome = result.kind;
      exists = result.kind !== 'deleted';
      return result;
    } catch (error) {
      if (error instanceof KubeError && !signal.aborted) outcome = error.code;
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      approval.cancel();
      waiting.delete(name);
      if (exists) remove(name);
      ended.inc({ outcome });
      seconds.observe(waitedMs() / 1000);
    }
  }

  /** Until the API server says that it is gone. */
  function remove(name: string): void {
    if (removing.has(name)) return;
    removing.set(
      name,
      deleteForSure(name).finally(() => removing.delete(name)),
    );
  }

  async function deleteForSure(name: string): Promise<void> {
    for (let failures = 0; ; ) {
      try {
        await client.delete(CERTIFICATE_REQUEST, { namespace, name });
        return;
      } catch (error) {
        if (error instanceof KubeError && error.code === 'not-found') return;
        if (failures === 0) log.warn('deleting a CertificateRequest failed, trying again', { request: name, error });
        failures += 1;
      }
      if (closing.signal.aborted) return;
      await sleep(clock, backoffMs(failures, { ...DELETE_RETRY, random: options.random() }), closing.signal);
    }
  }

  /** Deletes what nobody waits for any more: of a former process, or of a control plane that is gone. Those of a living one are within their deadline. */
  function sweep(): void {
    if (closing.signal.aborted) return;
    sweepTimer?.cancel();
    const now = clock.now();
    let next = now + SWEEP_MS;
    for (const request of watched.watch?.items() ?? []) {
      const { name } = request.metadata;
      if (waiting.has(name) || removing.has(name)) continue;
      const orphanAt = deadlineOf(request) + SLACK_MS;
      if (orphanAt > now) {
        next = Math.min(next, orphanAt);
        continue;
      }
      swept.inc();
      remove(name);
    }
    sweepTimer = clock.after(Math.max(1000, next - now), sweep);
  }

  return {
    settled: watched.settled,
    get problem() {
      return watched.problem;
    },
    issue: (request, progress, signal) =>
      wait(request.metadata.name, progress, signal, async () => {
        await client.create(CERTIFICATE_REQUEST, request, { signal });
        return undefined;
      }),
    adopt: (request, progress, signal) =>
      wait(request.metadata.name, progress, signal, async () => {
        const present = watched.watch?.get(namespace, request.metadata.name);
        if (present === undefined) waiting.get(request.metadata.name)?.gone();
        return present;
      }),
    find(wanted) {
      const now = clock.now();
      for (const request of watched.watch?.items() ?? []) {
        const { name, deletionTimestamp } = request.metadata;
        if (waiting.has(name) || removing.has(name) || deletionTimestamp !== undefined) continue;
        const { kind } = verdictOf(request);
        const goesOn = kind === 'unapproved' || kind === 'pending' || kind === 'issued';
        if (goesOn && deadlineOf(request) > now && wanted(request)) return request;
      }
      return undefined;
    },
    async cleaned() {
      const limit = Promise.withResolvers<void>();
      const timer = setTimeout(limit.resolve, STOP_MS);
      await Promise.race([Promise.all(removing.values()), limit.promise]);
      clearTimeout(timer);
    },
    async close() {
      sweepTimer?.cancel();
      closing.abort();
      const limit = Promise.withResolvers<void>();
      const timer = setTimeout(limit.resolve, STOP_MS);
      await Promise.race([Promise.all(removing.values()), limit.promise]);
      clearTimeout(timer);
      await watched.close();
    },
  };
}

/** False when the API server said clearly that it did not create anything. */
function mayExist(error: unknown): boolean {
  return !(error instanceof KubeError) || error.code === 'unavailable' || error.code === 'aborted';
}
