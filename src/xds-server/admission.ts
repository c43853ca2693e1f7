import { XdsError } from './xds.ts';

/** How many streams may be in `XdsSource.open` at once, so that thousands that reconnect together do not all wait for each other. */
export interface AdmissionLimits {
  readonly maxOpening: number;
  /** Further ones wait in order of arrival; over this many are refused with `resource-exhausted`. */
  readonly maxWaiting: number;
}

export interface Admission {
  /** Waits for a turn; call the result once when the stream is open or gone. Rejects with `XdsError` or the signal's reason. */
  enter(signal: AbortSignal): Promise<() => void>;
}

export const DEFAULT_ADMISSION: AdmissionLimits = { maxOpening: 128, maxWaiting: 20_000 };

export function createAdmission(limits: AdmissionLimits): Admission {
  let opening = 0;
  /** In order of arrival; a waiter that gave up is deleted. */
  const waiting = new Set<() => void>();

  function leave(): void {
    opening--;
    const [first] = waiting;
    if (!first) return;
    waiting.delete(first);
    first();
  }

  function turn(): () => void {
    opening++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      leave();
    };
  }

  return {
    async enter(signal) {
      signal.throwIfAborted();
      if (opening < limits.maxOpening) return turn();
      if (waiting.size >= limits.maxWaiting) {
        throw new XdsError('resource-exhausted', `open stream: ${waiting.size} streams wait already, try again later`);
      }
      return await new Promise<() => void>((resolve, reject) => {
        const go = (): void => {
          signal.removeEventListener('abort', giveUp);
          resolve(turn());
        };
        const giveUp = (): void => {
          waiting.delete(go);
          reject(signal.reason);
        };
        waiting.add(go);
        signal.addEventListener('abort', giveUp, { once: true });
      });
    },
  };
}
