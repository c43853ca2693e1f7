import { describe, expect, it } from 'vitest';
import type { Clock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { alwaysLeader } from './always-leader.ts';

/** Timers fire at once; what they waited is noted. */
function eagerClock(): { clock: Clock; waits: number[] } {
  const waits: number[] = [];
  const after: Clock['after'] = (delayMs, run) => {
    waits.push(delayMs);
    queueMicrotask(run);
    return { cancel() {} };
  };
  return { clock: { now: () => 0, monotonic: () => 0, after }, waits };
}

describe('alwaysLeader', () => {
  it('leads from the start until the signal aborts, and then ends', async () => {
    const election = alwaysLeader({ clock: eagerClock().clock, log: silentLogger });
    const over = new AbortController();
    let terms = 0;
    expect(election.isLeader()).toBe(false);
    const running = election.run(async (signal) => {
      terms += 1;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    }, over.signal);
    expect(election.isLeader()).toBe(true);
    over.abort();
    expect(election.isLeader()).toBe(false);
    await running;
    expect(terms).toBe(1);
  });

  it('starts a failed task again with growing delays, and not one that returned', async () => {
    const { clock, waits } = eagerClock();
    const election = alwaysLeader({ clock, log: silentLogger });
    const over = new AbortController();
    const { promise: returned, resolve } = Promise.withResolvers<void>();
    let calls = 0;
    const running = election.run(async () => {
      calls += 1;
      if (calls < 4) throw new Error('not yet');
      resolve();
    }, over.signal);
    await returned;
    expect(waits).toEqual([1000, 2000, 4000]);
    await new Promise((next) => setImmediate(next));
    expect(election.isLeader()).toBe(true);
    over.abort();
    await running;
    expect(calls).toBe(4);
  });

  it('does nothing when its signal is aborted already', async () => {
    const election = alwaysLeader({ clock: eagerClock().clock, log: silentLogger });
    await election.run(() => Promise.reject(new Error('must not run')), AbortSignal.abort());
    expect(election.isLeader()).toBe(false);
  });
});
