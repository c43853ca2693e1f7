import { CaError } from '../ca/backend.ts';
import type { BackendHealth } from './identity.ts';

/** What is known of one backend, put together from what it says itself and from how its issuances end. */
export interface BackendStateTracker {
  health(): BackendHealth;
  /** The backend says what to trust, so it can issue. */
  announced(): void;
  /** It did not say what to trust. */
  silent(error: unknown): void;
  /** What it notices by itself is in its way; `undefined`: nothing any more. */
  problem(problem: CaError | undefined): void;
  /** It issues, but somebody should know this; `undefined`: nothing any more. */
  remark(remark: CaError | undefined): void;
  issued(proxy: string): void;
  failed(proxy: string, error: unknown): void;
  /** This proxy wants nothing of it any more. */
  gone(proxy: string): void;
}

/** `changed` is called when state or reason is another one; a message alone is no news, since each proxy's failure words it anew. */
export function createBackendState(now: () => number, changed: () => void): BackendStateTracker {
  let problem: CaError | undefined;
  let remark: CaError | undefined;
  let silence: unknown;
  let announced = false;
  /** Proxies whose last attempt failed. */
  const failing = new Map<string, unknown>();
  let health: BackendHealth = {
    state: 'Starting',
    reason: 'Starting',
    message: 'the backend has not said yet what to trust',
    since: now(),
  };

  function derive(): Omit<BackendHealth, 'since'> {
    const error = problem ?? silence ?? failing.values().next().value;
    if (error !== undefined) return { state: 'Failing', ...wordsOf(error) };
    if (announced && remark !== undefined) return { state: 'Ready', ...wordsOf(remark) };
    return announced
      ? { state: 'Ready', reason: 'Ready', message: 'leaf certificates are issued' }
      : { state: 'Starting', reason: 'Starting', message: health.message };
  }

  function update(): void {
    const next = derive();
    if (next.state === health.state && next.reason === health.reason) return;
    health = { ...next, since: now() };
    changed();
  }

  return {
    health: () => health,
    announced() {
      announced = true;
      silence = undefined;
      update();
    },
    silent(error) {
      silence = error;
      update();
    },
    problem(next) {
      problem = next;
      update();
    },
    remark(next) {
      remark = next;
      update();
    },
    issued(proxy) {
      announced = true;
      silence = undefined;
      failing.delete(proxy);
      update();
    },
    failed(proxy, error) {
      failing.set(proxy, error);
      update();
    },
    gone(proxy) {
      if (failing.delete(proxy)) update();
    },
  };
}

function wordsOf(error: unknown): Pick<BackendHealth, 'reason' | 'message' | 'fix'> {
  return {
    reason: error instanceof CaError ? error.reason : 'Failed',
    message: error instanceof Error ? error.message : String(error),
    ...(error instanceof CaError && error.fix !== undefined ? { fix: error.fix } : {}),
  };
}
