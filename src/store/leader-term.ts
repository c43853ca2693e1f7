import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { aborted, sleep } from '../lib/wait.ts';

/**
 * One term of leadership: calls `lead` until `signal` aborts, again with a growing delay when it fails. Resolves when `lead` has ended
 * and the term is over, so that two terms of one process never overlap. A `lead` that returns early is not called again in this term.
 */
export async function serveTerm(
  lead: (signal: AbortSignal) => Promise<void>,
  options: { clock: Clock; log: Logger; signal: AbortSignal },
): Promise<void> {
  const { clock, log, signal } = options;
  for (let failures = 0; !signal.aborted; ) {
    try {
      await lead(signal);
      await aborted(signal);
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      log.error('leader task failed, starting it again', { error, failures });
      await sleep(clock, backoffMs(failures, { baseMs: 1000, maxMs: 30_000, jitter: 0, random: 0 }), signal);
    }
  }
}
