import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { sleep } from '../lib/wait.ts';
import type { Change, ResourceStore } from './store.ts';

const RETRY_MS = 1000;

export interface FollowOptions {
  readonly store: ResourceStore;
  readonly types: readonly string[];
  /** What is followed, for the log: "watching ... failed". */
  readonly what: string;
  /** Before the next attempt, in ms; absent: a second. */
  readonly retryMs?: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Hands over every batch of changes of these types, in order; after a failure, of the store or of `take`, from a new list. Resolves when `signal` aborts. Never rejects. */
export async function followStore(
  { store, types, what, retryMs = RETRY_MS, clock, log, signal }: FollowOptions,
  take: (batch: readonly Change[]) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const batch of store.watch({ types, signal })) take(batch);
    } catch (error) {
      if (!signal.aborted) log.warn(`watching ${what} failed, trying again`, { error });
    }
    await sleep(clock, retryMs, signal);
  }
}
