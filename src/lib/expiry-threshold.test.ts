import { describe, expect, it } from 'vitest';
import { ageOf, marginOf, parseThreshold, spanText } from './expiry-threshold.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
/** What `weft check` takes for leaves and for CAs. */
const LEAF = { share: 0.15 };
const CA = { share: 0.1, ms: 30 * DAY };

describe('parseThreshold', () => {
  it.each([
    ['20%', { share: 0.2 }],
    ['7.5%', { share: 0.075 }],
    ['48h', { ms: 48 * 60 * MINUTE }],
    ['30d', { ms: 30 * DAY }],
    ['1h30m', { ms: 90 * MINUTE }],
    ['0', { ms: 0 }],
  ])('reads %s', (text, threshold) => {
    expect(parseThreshold(text)).toEqual(threshold);
  });

  it.each(['', '100%', '-1h', 'soon', '20 %', '%'])('refuses %j', (text) => {
    expect(parseThreshold(text)).toBeUndefined();
  });
});

describe('ageOf', () => {
  const day = { notBefore: 0, notAfter: DAY };
  it.each([
    ['before its time', day, LEAF, -1, 'early'],
    ['fresh', day, LEAF, 0, 'good'],
    ['renewed late', day, LEAF, 0.86 * DAY, 'near'],
    ['at its end', day, LEAF, DAY, 'expired'],
    ['a leaf of 20 s at its usual renewal', { notBefore: 0, notAfter: 20_000 }, LEAF, 16_000, 'good'],
    ['a CA of ten years, 31 days before its end', { notBefore: 0, notAfter: 3650 * DAY }, CA, 3619 * DAY, 'good'],
    ['the same, 29 days before', { notBefore: 0, notAfter: 3650 * DAY }, CA, 3621 * DAY, 'near'],
    ['a CA of a day, half of it over', day, CA, DAY / 2, 'good'],
  ])('%s', (_what, life, threshold, now, age) => {
    expect(ageOf(life, threshold, now)).toBe(age);
  });

  it('takes the smaller of a share and a time', () => {
    expect(marginOf(day, { share: 0.5, ms: 1000 })).toBe(1000);
    expect(marginOf(day, { share: 0.5 })).toBe(DAY / 2);
  });
});

it('spanText shows a time in a unit that people read', () => {
  expect([0, 119_000, 121_000, 3 * 60 * MINUTE, 3 * DAY, -90_000].map(spanText)).toEqual([
    '0 s',
    '119 s',
    '2 min',
    '3 h',
    '3 days',
    '90 s',
  ]);
});
