import type { Clock } from './clock.ts';

/** Resolves after `ms` of `clock`, or as soon as `signal` aborts. Never rejects, and does not keep the process alive. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return unlessAborted(signal, (done) => {
    const timer = clock.after(ms, done);
    return () => timer.cancel();
  });
}

/** Resolves after `ms`, or at once when `signal` aborts; the caller looks at the signal to tell which. Never rejects. Keeps the process alive. */
export function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  return unlessAborted(signal, (done) => {
    const timer = setTimeout(done, ms);
    return () => clearTimeout(timer);
  });
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return unlessAborted(signal, () => () => {});
}

/** `start` begins to wait and answers how to stop it. */
function unlessAborted(signal: AbortSignal, start: (done: () => void) => () => void): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = start(done);
    signal.addEventListener('abort', done);
  });
}
