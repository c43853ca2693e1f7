import { describe, expect, it } from 'vitest';
import { createDrivenClock } from '../../testing/fakes/driven-clock.ts';
import { createWorkQueue } from './work-queue.ts';

function queue(options: { concurrency?: number; fail?: (key: string) => boolean } = {}) {
  const clock = createDrivenClock();
  const started: string[] = [];
  const failures: [string, number][] = [];
  const open = new Map<string, () => void>();
  const made = createWorkQueue({
    work: async (key) => {
      started.push(key);
      await new Promise<void>((resolve) => open.set(key, resolve));
      if (options.fail?.(key)) throw new Error('no');
    },
    failed: (key, _error, count) => failures.push([key, count]),
    concurrency: options.concurrency ?? 10,
    clock,
    random: () => 0,
  });
  const finish = async (key: string) => {
    open.get(key)?.();
    open.delete(key);
    await clock.advance(0);
  };
  return { clock, started, failures, finish, queue: made };
}

describe('work queue', () => {
  it('works on a key once at a time, and once more when it was asked for meanwhile', async () => {
    const { queue: work, started, finish } = queue();
    work.add('a');
    for (let n = 0; n < 5; n += 1) work.add('a');
    expect(started).toEqual(['a']);
    await finish('a');
    expect(started).toEqual(['a', 'a']);
    await finish('a');
    expect(started).toEqual(['a', 'a']);
    expect(work.size).toBe(0);
  });

  it('keeps the order and the number of those worked on; a key that waits already waits once', async () => {
    const { queue: work, started, finish } = queue({ concurrency: 2 });
    for (const key of ['a', 'b', 'c', 'd', 'c', 'd']) work.add(key);
    expect(started).toEqual(['a', 'b']);
    await finish('b');
    expect(started).toEqual(['a', 'b', 'c']);
    await finish('a');
    await finish('c');
    await finish('d');
    expect(started).toEqual(['a', 'b', 'c', 'd']);
    expect(work.size).toBe(0);
  });

  it('tries again later and later, at once when asked, and forgets failures after a success', async () => {
    let fails = true;
    const { queue: work, started, failures, finish, clock } = queue({ fail: () => fails });
    work.add('a');
    await finish('a');
    await clock.advance(99);
    expect(started).toHaveLength(1);
    await clock.advance(1);
    expect(started).toHaveLength(2);
    await finish('a');
    await clock.advance(150);
    expect(started).toHaveLength(2);
    work.add('a');
    expect(started).toHaveLength(3);
    await finish('a');
    expect(failures).toEqual([
      ['a', 1],
      ['a', 2],
      ['a', 3],
    ]);
    fails = false;
    await clock.advance(400);
    await finish('a');
    expect(work.size).toBe(0);
    expect(clock.timers).toBe(0);
  });

  it('drops what waits when it is closed', async () => {
    const { queue: work, started, finish, clock } = queue({ concurrency: 1, fail: () => true });
    work.add('a');
    await finish('a');
    work.add('b');
    work.add('c');
    const closing = work.close();
    await finish('b');
    await closing;
    await clock.advance(60_000);
    work.add('d');
    expect(started).toEqual(['a', 'b']);
    expect(clock.timers).toBe(0);
  });
});
