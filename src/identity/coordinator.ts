import { CaError } from '../ca/backend.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { isRefusal, pauseAfter } from './backoff.ts';
import { createBreaker } from './breaker.ts';
import { type CoordinatorMemory, LONGEST_ERROR, MOST_REMEMBERED } from './coordinator-memory.ts';
import type { IssuanceFailure } from './identity.ts';
import { createPace, type PaceLimits } from './pace.ts';
import { ProxyKeyError } from './proxy-key.ts';
import { createIssuanceQueue } from './queue.ts';
import { createRefusals } from './refusals.ts';

/**
 * All that one CA backend of one mesh is asked: who waits for a leaf, who is next, how fast it is asked, when it is left alone, and when a proxy that
 * failed may ask again. Proxies are known by name. Nothing here knows what a leaf is. Decision 0022.
 *
 * ```
 * ask ──> queue, most urgent first ── ready? breaker? pace? ──> obtain ──> issued: pauses of the others end when the backend was left alone
 *                                                                  ├─ throttled: back into the queue, the pace is slower
 *                                                                  ├─ refused: one asks again for all (`refusals.ts`)
 *                                                                  └─ failed: pause of the proxy, step of the breaker
 * ```
 */
export interface Coordinator {
  /** What the backend may be asked from now on. */
  limit(limits: PaceLimits): void;
  /** Puts the proxy into the queue; `urgency` is the end of the leaf it holds (epoch ms), 0: it holds none. When it may not ask yet: when to come again, epoch ms. */
  ask(proxy: string, urgency: number): number | undefined;
  /** The proxy wants nothing of this backend any more. */
  leave(proxy: string): void;
  /** The last attempt of this proxy, when it failed. */
  failure(proxy: string): IssuanceFailure | undefined;
  /** The backend does not say what to trust: why this proxy waits. */
  unanswered(proxy: string, failure: Omit<IssuanceFailure, 'at' | 'since'>): IssuanceFailure;
  /** The proxy may ask right now, whatever its pause. */
  hurry(proxy: string): void;
  /** The backend can be asked, after it could not or because something changed: all pauses end, but those of before a restart. */
  ready(): void;
  load(): Load;
  /** `undefined`: there is nothing to remember. */
  memory(): CoordinatorMemory | undefined;
  /** To be called before anything is asked. */
  restore(memory: CoordinatorMemory): void;
  close(): void;
}

/** How a backend is asked at the moment. */
export interface Load {
  readonly waiting: number;
  readonly inFlight: number;
  /** Most that may be in flight now. */
  readonly concurrency: number;
  /** Most that is asked in a second now; `undefined`: no limit. */
  readonly perSecond: number | undefined;
  /** Leaves a second that it gave lately. */
  readonly measuredPerSecond: number;
  /** So many failed in a row that the backend is asked by one proxy at a time only. */
  readonly leftAlone: boolean;
}

export interface CoordinatorOptions<T> {
  readonly mesh: string;
  readonly backend: string;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** It says what to trust, so it can be asked. */
  readonly isReady: () => boolean;
  /** One issuance; `undefined`: the proxy wants none any more and nothing was asked. Rejects with the reason. */
  readonly obtain: (proxy: string) => Promise<T | undefined>;
  readonly issued: (proxy: string, obtained: T) => void;
  readonly failed: (proxy: string, failure: IssuanceFailure, error: unknown) => void;
  /** The backend said that it is asked too much; `perSecond` is what it is asked from now on. */
  readonly throttled: (perSecond: number | undefined) => void;
  /** The proxy may `ask` again, if it still wants something. */
  readonly again: (proxy: string) => void;
  /** A proxy stood in the queue for so long. */
  readonly waited: (ms: number) => void;
  /** `memory` may answer something else now. */
  readonly changed: () => void;
}

/** From so many throttled answers in a row on, people are told: it is not just the pace that settles. */
const THROTTLED_NEWS = 3;

export function createCoordinator<T>(options: CoordinatorOptions<T>): Coordinator {
  const { mesh, backend, clock, random } = options;
  const breaker = createBreaker(random);
  const refusals = createRefusals(random);
  const pace = createPace({ monotonic: clock.monotonic, random });
  /** Proxies that asked and have neither got a leaf nor left. */
  const asking = new Set<string>();
  const failures = new Map<string, IssuanceFailure>();
  let lastError: string | undefined;
  /** Proxies whose pause began before a restart, until the backend has changed since. */
  const remembered = new Set<string>();
  let restored = false;
  let timer: Timer | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let closed = false;

  const queue = createIssuanceQueue({
    mayStart,
    run,
    // What is wanted may have changed meanwhile.
    done: options.again,
    monotonic: clock.monotonic,
  });

  function mayStart(inFlight: number): boolean {
    if (!options.isReady()) return false;
    const state = breaker.state(clock.now());
    if (typeof state === 'number') return wakeAfter(state - clock.now());
    if (inFlight >= (state === 'probe' ? 1 : pace.concurrency())) return false;
    const wait = pace.take();
    return wait > 0 ? wakeAfter(wait) : true;
  }

  function wakeAfter(delayMs: number): false {
    const at = clock.monotonic() + delayMs;
    if (at >= timerAt) return false;
    timer?.cancel();
    timerAt = at;
    timer = clock.after(Math.ceil(delayMs), () => {
      timerAt = Number.POSITIVE_INFINITY;
      queue.wake();
    });
    return false;
  }

  async function run(proxy: string, waitedMs: number): Promise<void> {
    options.waited(waitedMs);
    const startedAt = clock.monotonic();
    try {
      const obtained = await options.obtain(proxy);
      if (obtained !== undefined && !closed) took(proxy, obtained);
    } catch (error) {
      // What our own end breaks off is no failure of the backend.
      if (closed) return;
      if (error instanceof CaError && error.code === 'throttled') throttled(proxy, startedAt, error);
      else if (error instanceof ProxyKeyError) ofProxy(proxy, error);
      else failed(proxy, error);
    }
  }

  function took(proxy: string, obtained: T): void {
    asking.delete(proxy);
    failures.delete(proxy);
    remembered.delete(proxy);
    pace.answered();
    const healed = refusals.succeeded(proxy);
    const wasOpen = breaker.succeeded();
    if (wasOpen) pace.restart();
    options.issued(proxy, obtained);
    options.changed();
    if (!healed && !wasOpen) return;
    refusals.hurry(clock.now());
    hurryAll();
  }

  /** Not the proxy's fault: it stays in the queue. */
  function throttled(proxy: string, startedAt: number, error: CaError): void {
    const before = pace.slowedTo();
    const inRow = pace.throttled(startedAt);
    if (pace.slowedTo() !== before) options.throttled(pace.perSecond());
    options.changed();
    if (inRow >= THROTTLED_NEWS) remember(proxy, error, () => clock.now());
  }

  /** The backend was not asked. */
  function ofProxy(proxy: string, error: ProxyKeyError): void {
    remember(proxy, error, (attempts) => clock.now() + pauseAfter(attempts, random()));
    options.changed();
  }

  function failed(proxy: string, error: unknown): void {
    const now = clock.now();
    const again = refusals.has(proxy);
    const refused = isRefusal(error);
    // Who was refused before tells nothing new of the others.
    if (!again) breaker.failed(proxy, now);
    if (!refused) pace.troubled();
    const nextTurn = again || refused ? refusals.failed(proxy, now) : undefined;
    remember(proxy, error, (attempts) => nextTurn ?? now + pauseAfter(attempts, random()));
    options.changed();
  }

  function remember(proxy: string, error: unknown, next: (attempts: number) => number): void {
    // Who stopped asking is no failure of the backend.
    if (!asking.has(proxy)) return;
    const now = clock.now();
    const known = failures.get(proxy);
    const attempts = (known?.attempts ?? 0) + 1;
    lastError = error instanceof Error ? error.message : String(error);
    const failure = {
      message: messageOf(proxy, lastError),
      at: now,
      since: known?.since ?? now,
      attempts,
      nextAttemptAt: next(attempts),
    };
    failures.set(proxy, failure);
    remembered.delete(proxy);
    options.failed(proxy, failure, error);
  }

  const messageOf = (proxy: string, reason: string) =>
    `issue a leaf for ${proxy} of mesh ${mesh} from backend "${backend}": ${reason}`;

  function hurry(proxy: string): void {
    const failure = failures.get(proxy);
    if (failure !== undefined) failures.set(proxy, { ...failure, nextAttemptAt: clock.now() });
  }

  /** What failed before may go right now: no waiting for each proxy's own backoff. */
  function hurryAll(except?: ReadonlySet<string>): void {
    for (const proxy of [...failures.keys()]) {
      if (except?.has(proxy)) continue;
      hurry(proxy);
      options.again(proxy);
    }
  }

  return {
    limit(limits) {
      pace.limit(limits);
      queue.wake();
    },
    ask(proxy, urgency) {
      const now = clock.now();
      const failure = failures.get(proxy);
      asking.add(proxy);
      if (failure !== undefined && failure.nextAttemptAt > now) return failure.nextAttemptAt;
      const turn = refusals.turn(proxy, now);
      if (turn > now) {
        if (failure !== undefined) failures.set(proxy, { ...failure, nextAttemptAt: turn });
        return turn;
      }
      queue.add(proxy, urgency);
      return undefined;
    },
    leave(proxy) {
      asking.delete(proxy);
      if (failures.delete(proxy)) options.changed();
      remembered.delete(proxy);
      queue.drop(proxy);
      refusals.gone(proxy);
    },
    failure: (proxy) => failures.get(proxy),
    unanswered(proxy, failure) {
      const now = clock.now();
      const known = { ...failure, at: now, since: failures.get(proxy)?.since ?? now };
      failures.set(proxy, known);
      return known;
    },
    hurry,
    ready() {
      if (restored) {
        // That it says what to trust after our restart is no sign that it signs again.
        restored = false;
        hurryAll(remembered);
      } else {
        remembered.clear();
        breaker.succeeded();
        refusals.clear();
        hurryAll();
      }
      pace.restart();
      options.changed();
      queue.wake();
    },
    load() {
      return {
        waiting: queue.waiting,
        inFlight: queue.running,
        concurrency: pace.concurrency(),
        perSecond: pace.perSecond(),
        measuredPerSecond: pace.measured(),
        leftAlone: breaker.state(clock.now()) !== 'go',
      };
    },
    memory() {
      const now = clock.now();
      const kept = [...failures]
        .filter(([proxy, { nextAttemptAt }]) => asking.has(proxy) || remembered.has(proxy) || nextAttemptAt > now)
        .slice(0, MOST_REMEMBERED)
        .map(([proxy, { attempts, since, nextAttemptAt }]) => ({ proxy, attempts, since, nextAttemptAt }));
      const slowedTo = pace.slowedTo();
      const open = breaker.memory();
      const refused = refusals.memory();
      if (kept.length === 0 && slowedTo === undefined && open === undefined && refused === undefined) return undefined;
      return {
        ...(slowedTo === undefined ? {} : { slowedTo: Math.round(slowedTo * 1000) / 1000 }),
        ...(open === undefined ? {} : { breaker: open }),
        ...(refused === undefined
          ? {}
          : { refusals: { ...refused, proxies: refused.proxies.slice(0, MOST_REMEMBERED) } }),
        ...(kept.length === 0 ? {} : { failures: kept }),
        ...(lastError === undefined ? {} : { lastError: lastError.slice(0, LONGEST_ERROR) }),
      };
    },
    restore(memory) {
      const now = clock.now();
      restored = true;
      lastError = memory.lastError;
      if (memory.slowedTo !== undefined) pace.restore(memory.slowedTo);
      if (memory.breaker !== undefined) breaker.restore(memory.breaker);
      if (memory.refusals !== undefined) refusals.restore(memory.refusals);
      for (const { proxy, ...failure } of memory.failures ?? []) {
        remembered.add(proxy);
        failures.set(proxy, {
          ...failure,
          at: now,
          message: messageOf(proxy, lastError ?? 'failed before the restart'),
        });
      }
    },
    close() {
      closed = true;
      timer?.cancel();
      queue.close();
    },
  };
}

/** What people are told of it: how many wait, and at which rate the queue goes down. Pure. */
export function expectedLoad(load: Load | undefined): { waiting: number; inFlight: number; ratePerSecond?: number } {
  if (load === undefined) return { waiting: 0, inFlight: 0 };
  const { waiting, inFlight, measuredPerSecond, perSecond } = load;
  const rate = waiting > 0 && measuredPerSecond > 0 ? measuredPerSecond : perSecond;
  return { waiting, inFlight, ...(rate === undefined ? {} : { ratePerSecond: Math.round(rate * 100) / 100 }) };
}
