import type { Clock, Timer } from '../lib/clock.ts';
import { isRefusal, pauseAfter } from './backoff.ts';
import { createBreaker } from './breaker.ts';
import type { IssuanceFailure } from './identity.ts';
import { createIssuanceQueue } from './queue.ts';
import { createRefusals } from './refusals.ts';

/**
 * All that one CA backend of one mesh is asked: who waits for a leaf, who is next, when the backend is left alone, and when a proxy that failed may ask
 * again. Proxies are known by name. Nothing here knows what a leaf is.
 */
export interface Coordinator {
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
  /** The backend can be asked, after it could not or because something changed: all pauses end. */
  ready(): void;
  readonly waiting: number;
  readonly inFlight: number;
  /** So many failed in a row that the backend is asked by one proxy at a time only. */
  readonly leftAlone: boolean;
  close(): void;
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
  /** The proxy may `ask` again, if it still wants something. */
  readonly again: (proxy: string) => void;
}

const CONCURRENCY = 32;

export function createCoordinator<T>(options: CoordinatorOptions<T>): Coordinator {
  const { mesh, backend, clock, random } = options;
  const breaker = createBreaker(random);
  const refusals = createRefusals(random);
  /** Proxies that asked and have neither got a leaf nor left. */
  const asking = new Set<string>();
  const failures = new Map<string, IssuanceFailure>();
  let timer: Timer | undefined;
  let closed = false;

  const queue = createIssuanceQueue({
    mayStart,
    run,
    // What is wanted may have changed meanwhile.
    done: options.again,
  });

  function mayStart(inFlight: number): boolean {
    if (!options.isReady()) return false;
    const state = breaker.state(clock.now());
    if (typeof state === 'number') {
      wakeAfter(state - clock.now());
      return false;
    }
    return inFlight < (state === 'probe' ? 1 : CONCURRENCY);
  }

  function wakeAfter(delayMs: number): void {
    timer?.cancel();
    timer = clock.after(delayMs, () => {
      timer = undefined;
      queue.wake();
    });
  }

  async function run(proxy: string): Promise<void> {
    try {
      const obtained = await options.obtain(proxy);
      if (obtained === undefined || closed) return;
      asking.delete(proxy);
      failures.delete(proxy);
      const healed = refusals.succeeded(proxy);
      const closedBreaker = breaker.succeeded();
      options.issued(proxy, obtained);
      if (healed || closedBreaker) {
        refusals.hurry(clock.now());
        hurryAll();
      }
    } catch (error) {
      failed(proxy, error);
    }
  }

  function failed(proxy: string, error: unknown): void {
    const now = clock.now();
    const again = refusals.has(proxy);
    // Who was refused before tells nothing new of the others.
    if (!again) breaker.failed(proxy, now);
    const nextTurn = again || isRefusal(error) ? refusals.failed(proxy, now) : undefined;
    // Who stopped asking is no failure of the backend.
    if (!asking.has(proxy) || closed) return;
    const known = failures.get(proxy);
    const attempts = (known?.attempts ?? 0) + 1;
    const failure = {
      message: `issue a leaf for ${proxy} of mesh ${mesh} from backend "${backend}": ${error instanceof Error ? error.message : error}`,
      at: now,
      since: known?.since ?? now,
      attempts,
      nextAttemptAt: nextTurn ?? now + pauseAfter(attempts, random()),
    };
    failures.set(proxy, failure);
    options.failed(proxy, failure, error);
  }

  function hurry(proxy: string): void {
    const failure = failures.get(proxy);
    if (failure !== undefined) failures.set(proxy, { ...failure, nextAttemptAt: clock.now() });
  }

  /** What failed before may go right now: no waiting for each proxy's own backoff. */
  function hurryAll(): void {
    for (const proxy of [...failures.keys()]) {
      hurry(proxy);
      options.again(proxy);
    }
  }

  return {
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
      failures.delete(proxy);
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
      breaker.succeeded();
      refusals.clear();
      hurryAll();
      queue.wake();
    },
    get waiting() {
      return queue.waiting;
    },
    get inFlight() {
      return queue.running;
    },
    get leftAlone() {
      return breaker.state(clock.now()) !== 'go';
    },
    close() {
      closed = true;
      timer?.cancel();
      queue.close();
    },
  };
}
