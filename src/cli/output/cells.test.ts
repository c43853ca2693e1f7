import { describe, expect, it } from 'vitest';
import { ageText, agoText, dateText, leftText, tagsText } from './cells.ts';
import { tableText } from './table.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('ageText', () => {
  it.each([
    [-2000, 'never'],
    [-1000, '0s'],
    [0, '0s'],
    [59_999, '59s'],
    [MINUTE, '1m'],
    [HOUR - 1, '59m'],
    [DAY - 1, '23h'],
    [364 * DAY, '364d'],
    [365 * DAY, '1y'],
  ])('shows %i ms as %s', (ms, text) => {
    expect(ageText(ms)).toBe(text);
  });
});

describe('agoText and dateText', () => {
  it('say so when there is no time', () => {
    expect(agoText(undefined, 0)).toBe('never');
    expect(agoText('soon', 0)).toBe('never');
    expect(dateText(undefined)).toBe('-');
  });

  it('show times in UTC', () => {
    expect(agoText('1970-01-01T00:00:00Z', 5000)).toBe('5s');
    expect(dateText('2026-11-24T04:15:31.7Z')).toBe('2026-11-24 04:15:31');
  });
});

describe('leftText', () => {
  it.each([
    [undefined, '-'],
    [0, 'ended'],
    [40, '40s'],
    [90, '1m 30s'],
    [3600, '1h'],
    [61_500, '17h 5m'],
    [2 * 86_400 + 3 * 3600, '2d 3h'],
  ])('shows %s seconds as %s', (seconds, text) => {
    expect(leftText(seconds)).toBe(text);
  });
});

describe('tagsText', () => {
  it('joins values of a tag over all inbounds, sorted', () => {
    expect(tagsText([{ version: 'v2', 'kuma.io/service': 'web' }, { version: 'v1' }, { version: 'v2' }])).toBe(
      'kuma.io/service=web version=v1,v2',
    );
    expect(tagsText([])).toBe('');
  });
});

describe('tableText', () => {
  it('pads columns to their widest cell and three blanks, the last one not at all', () => {
    expect(
      tableText(
        ['NAME', 'AGE'],
        [
          ['default', '1m'],
          ['ö', '12d'],
        ],
      ),
    ).toBe('NAME      AGE\ndefault   1m\nö         12d\n');
  });
});
