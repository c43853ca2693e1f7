import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock, Timer } from '../lib/clock.ts';

/** Quiet time after which garbage of a burst is collected. Milliseconds. */
const QUIET_MS = 5000;
/** Less garbage than this is not worth a collection. */
const WORTH_BYTES = 32 * 1024 * 1024;

/**
 * Gives memory back after a burst: a thousand proxies that connect leave some hundred megabytes of garbage, and V8 does not look for it while nothing
 * is allocated, so an idle control plane would keep it for good. `touch` after each piece of work; one collection runs when it stays quiet.
 * Nothing runs while nothing happens (docs/performance.md has the figures).
 */
export function createIdleMemory(clock: Clock): { touch(): void; close(): void } {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { type: 'major'; execution: 'async' }) => Promise<void>;
  let timer: Timer | undefined;
  let touchedAt = 0;
  let usedAfter = 0;

  function look(): void {
    timer = undefined;
    const quietFor = clock.monotonic() - touchedAt;
    if (quietFor < QUIET_MS) {
      timer = clock.after(QUIET_MS - quietFor, look);
      return;
    }
    if (process.memoryUsage().heapTotal - usedAfter < WORTH_BYTES) return;
    void collect({ type: 'major', execution: 'async' }).then(() => {
      usedAfter = process.memoryUsage().heapTotal;
    });
  }

  return {
    touch() {
      touchedAt = clock.monotonic();
      timer ??= clock.after(QUIET_MS, look);
    },
    close() {
      timer?.cancel();
    },
  };
}
