import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPace, type Pace } from './pace.ts';
import { createRateMeter } from './rate-meter.ts';
import { refill, type TokenBucket, waitFor } from './token-bucket.ts';

describe('token bucket', () => {
  it('never gives more than the rate and the little that is saved up, whenever it is asked', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 500, noNaN: true }),
        fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 200 }),
        (perSecond, pauses) => {
          let bucket: TokenBucket = { tokens: 1, at: 0 };
          let now = 0;
          let taken = 0;
          for (const pause of pauses) {
            now += pause;
            for (bucket = refill(bucket, perSecond, now); waitFor(bucket, perSecond) === 0; taken += 1) {
              bucket = { ...bucket, tokens: bucket.tokens - 1 };
            }
          }
          expect(taken).toBeLessThanOrEqual(Math.max(1.3, perSecond * 0.04) + (now / 1000) * perSecond + 0.001);
        },
      ),
    );
  });

  it('says when the next token is there', () => {
    const empty = { tokens: 0, at: 0 };
    const wait = waitFor(refill(empty, 4, 100), 4);
    expect(wait).toBeCloseTo(150);
    expect(waitFor(refill(empty, 4, 100 + wait), 4)).toBe(0);
  });
});

it('measures the last second in which something happened', () => {
  const meter = createRateMeter();
  expect(meter.perSecond(0)).toBe(0);
  for (let at = 0; at < 3000; at += 100) meter.count(at);
  expect(meter.perSecond(3000)).toBeCloseTo(10, 0);
  expect(meter.perSecond(10_000)).toBe(0);
});

describe('pace', () => {
  let now = 0;
  const create = (limits: { concurrency: number; perSecond?: number }, ramp = false): Pace => {
    now = 0;
    const pace = createPace({ monotonic: () => now, random: () => 0 });
    pace.limit({ ...limits, ramp });
    return pace;
  };
  /** Asks whenever it may for so long; each answer is a leaf at once. How often it asked. */
  const ask = (pace: Pace, ms: number): number => {
    let asked = 0;
    for (const end = now + ms; now < end; ) {
      const wait = pace.take();
      now += wait;
      if (wait > 0) continue;
      asked += 1;
      pace.answered();
      if (pace.perSecond() === undefined) now += 1;
    }
    return asked;
  };

  it('is the limits at once where there is no ramp, and none of its own', () => {
    const pace = create({ concurrency: 4 });
    expect([pace.concurrency(), pace.perSecond(), pace.take()]).toEqual([4, undefined, 0]);
  });

  it('goes up in steps of a second while answers come, and begins again after the backend was away', () => {
    const pace = create({ concurrency: 32, perSecond: 24 }, true);
    const steps: unknown[] = [];
    for (let second = 0; second < 4; second += 1) {
      steps.push([pace.concurrency(), pace.perSecond()]);
      ask(pace, 1050);
    }
    expect(steps).toEqual([
      [8, 6],
      [16, 12],
      [32, 24],
      [32, 24],
    ]);
    pace.restart();
    expect([pace.concurrency(), pace.perSecond()]).toEqual([8, 6]);
    ask(pace, 900);
    pace.troubled();
    ask(pace, 900);
    expect(pace.perSecond()).toBe(6);
  });

  it('keeps to its rate', () => {
    const pace = create({ concurrency: 32, perSecond: 25 });
    expect(ask(pace, 40_000)).toBeLessThanOrEqual(1003);
    expect(now).toBeLessThan(40_100);
  });

  it('is slower after it was throttled, once for all that were under way, and itself again in seconds', () => {
    const pace = create({ concurrency: 32, perSecond: 20 });
    ask(pace, 1000);
    const startedAt = now - 50;
    for (let call = 0; call < 10; call += 1) expect(pace.throttled(startedAt)).toBe(1);
    expect(pace.perSecond()).toBeCloseTo(0.88 * 20);
    expect(pace.concurrency()).toBe(32);
    expect(ask(pace, 1000)).toBeLessThanOrEqual(19);
    ask(pace, 4000);
    expect([pace.perSecond(), pace.slowedTo()]).toEqual([20, undefined]);
  });

  it('asks one at a time after two throttled answers in a row, until a leaf comes', () => {
    const pace = create({ concurrency: 32, perSecond: 20 });
    pace.throttled(now - 50);
    now += 100;
    expect(pace.throttled(now - 50)).toBe(2);
    expect([pace.concurrency(), pace.take()]).toEqual([1, 200]);
    now += 200;
    expect(pace.take()).toBe(0);
    pace.answered();
    expect(pace.concurrency()).toBe(32);
  });

  it('asks less and less where every answer is throttled: one at a time, up to a minute apart', () => {
    const pace = create({ concurrency: 32, perSecond: 25 });
    let asked = 0;
    for (const end = 600_000; now < end; ) {
      const wait = pace.take();
      now += wait;
      if (wait > 0) continue;
      asked += 1;
      now += 10;
      pace.throttled(now - 10);
      if (asked > 1) expect(pace.concurrency()).toBe(1);
    }
    expect(asked).toBeLessThanOrEqual(20);
  });

  it('finds the rate of a backend that has no known limit, and forgets it when it was wrong', () => {
    const pace = create({ concurrency: 32 });
    ask(pace, 40);
    pace.throttled(now - 1);
    expect(pace.perSecond()).toBeCloseTo(0.88 * 40, 0);
    now += 4000;
    expect(pace.perSecond()).toBeCloseTo(40, 0);
    now += 11_000;
    expect(pace.perSecond()).toBeCloseTo(53, 0);
    now += 5000;
    expect(pace.perSecond()).toBeGreaterThan(180);
    now += 20_000;
    expect(pace.perSecond()).toBeUndefined();
  });

  it('remembers over a restart how slow it had to be', () => {
    const pace = create({ concurrency: 32, perSecond: 25 });
    pace.restore(5);
    expect(pace.perSecond()).toBeCloseTo(5);
    now += 22_000;
    expect(pace.perSecond()).toBe(25);
  });
});
