import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createDrivenClock } from '../testing/fakes/driven-clock.ts';
import { createBreaker } from './breaker.ts';
import { createIssuanceQueue } from './queue.ts';
import { createSchedule } from './schedule.ts';

it('runs keys in the order of their time, each once, the last time set counts', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 500_000 })), { maxLength: 60 }),
      async (sets) => {
        const clock = createDrivenClock();
        const ran: [string, number][] = [];
        const schedule = createSchedule(clock, (keys) =>
          ran.push(...keys.map((key): [string, number] => [key, clock.now()])),
        );
        const start = clock.now();
        const last = new Map<string, number>();
        for (const [key, at] of sets) {
          schedule.set(String(key), start + at);
          last.set(String(key), start + at);
        }
        expect(clock.timers).toBeLessThanOrEqual(1);
        await clock.advance(600_000);
        expect(new Map(ran)).toEqual(last);
        expect(ran.length).toBe(last.size);
        expect(clock.timers).toBe(0);
      },
    ),
    { numRuns: 25 },
  );
});

it('forgets what was cleared, and notices within a minute that the clock was set', async () => {
  const clock = createDrivenClock();
  const ran: string[] = [];
  const schedule = createSchedule(clock, (keys) => ran.push(...keys));
  schedule.set('cleared', clock.now() + 1000);
  schedule.set('far', clock.now() + 3_600_000);
  schedule.clear('cleared');
  await clock.advance(2000);
  expect(ran).toEqual([]);
  clock.step(3_600_000);
  await clock.advance(60_000);
  expect(ran).toEqual(['far']);
});

it('opens after ten failing proxies, lets one probe through, and closes on a success', () => {
  const breaker = createBreaker(() => 0);
  for (let proxy = 0; proxy < 9; proxy += 1) breaker.failed(`p${proxy}`, 1000);
  breaker.failed('p0', 1000);
  expect(breaker.state(1000)).toBe('go');
  breaker.failed('p9', 1000);
  expect(breaker.state(1000)).toBe(6000);
  expect(breaker.state(6000)).toBe('probe');
  breaker.failed('p1', 6000);
  expect(breaker.state(6000)).toBe(16_000);
  expect(breaker.succeeded()).toBe(true);
  expect(breaker.state(6000)).toBe('go');
  expect(breaker.succeeded()).toBe(false);
});

it('works on the most urgent first, never on more than it may', async () => {
  const started: string[] = [];
  const finish: (() => void)[] = [];
  let most = 0;
  let running = 0;
  const queue = createIssuanceQueue({
    mayStart: (running) => running < 2,
    done: () => undefined,
    monotonic: () => 0,
    run: async (key) => {
      started.push(key);
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => finish.push(resolve));
      running -= 1;
    },
  });
  for (const [key, urgency] of [
    ['late', 900],
    ['soon', 100],
    ['none', 0],
    ['later', 999],
    ['dropped', 1],
  ] as const) {
    queue.add(key, urgency);
  }
  queue.drop('dropped');
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    finish.shift()?.();
  }
  expect(started).toEqual(['none', 'soon', 'late', 'later']);
  expect(most).toBe(2);
  expect([queue.waiting, queue.running]).toEqual([0, 0]);
});
