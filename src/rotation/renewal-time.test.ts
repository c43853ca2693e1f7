import { expect, it } from 'vitest';
import { renewalPlan } from './renewal-time.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

it.each([
  ['ten years: 30 days before', 3650 * DAY, DAY, 30 * DAY, 7 * DAY],
  ['ten years, leaves of 60 days: two of their lives before', 3650 * DAY, 60 * DAY, 120 * DAY, 7 * DAY],
  ['ten days: half of the life', 10 * DAY, DAY, 5 * DAY, (10 * DAY) / 6],
  ['an hour: half of the life', HOUR, DAY, HOUR / 2, HOUR / 6],
])('%s', (_what, life, leafLifetimeMs, startsBefore, goesOnBefore) => {
  const plan = renewalPlan({ notBefore: 0, notAfter: life, leafLifetimeMs });
  expect(life - plan.startAt).toBeCloseTo(startsBefore);
  expect(life - plan.goOnAt).toBeCloseTo(goesOnBefore);
});
