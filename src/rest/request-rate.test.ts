import { expect, it } from 'vitest';
import { createRequestRate } from './request-rate.ts';

it('gives a burst, then one at a time, and says how long to wait', () => {
  const rate = createRequestRate({ burst: 3, refillMs: 2000 });
  const take = (now: number, cost = 1, key = 'default') => rate.take(key, cost, now);
  expect([take(0), take(0), take(0), take(0)]).toEqual([undefined, undefined, undefined, 2]);
  expect(take(0, 1, 'other')).toBeUndefined();
  expect([take(1000), take(2000), take(2000)]).toEqual([1, undefined, 2]);
  // What costs everything waits until everything is back.
  expect([take(2000, 3), take(7999, 3), take(8000, 3)]).toEqual([6, 1, undefined]);
});
