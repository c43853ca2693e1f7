import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeRanges, parseCidrs, parsePortRanges } from './ranges.ts';

describe('parsePortRanges', () => {
  it.each([
    ['', []],
    ['22', [{ from: 22, to: 22 }]],
    [
      ' 8000-8100, 22 ',
      [
        { from: 22, to: 22 },
        { from: 8000, to: 8100 },
      ],
    ],
    ['1-5,4-9,10', [{ from: 1, to: 10 }]],
  ])('reads "%s"', (text, ranges) => {
    expect(parsePortRanges(text)).toEqual(ranges);
  });

  it.each(['0', '65536', 'http', '5-1', '1-2-3', '80;90', '-1'])('refuses "%s"', (text) => {
    expect(parsePortRanges(text)).toBeUndefined();
  });
});

describe('mergeRanges', () => {
  it('keeps every number and leaves no overlap', () => {
    const range = fc.tuple(fc.nat(60), fc.nat(10)).map(([from, length]) => ({ from, to: from + length }));
    fc.assert(
      fc.property(fc.array(range), (ranges) => {
        const merged = mergeRanges(ranges);
        for (let number = 0; number <= 75; number += 1) {
          const holds = (one: { from: number; to: number }) => one.from <= number && number <= one.to;
          expect(merged.filter(holds).length).toBe(ranges.some(holds) ? 1 : 0);
        }
      }),
    );
  });
});

describe('parseCidrs', () => {
  it('reads addresses and CIDRs of both families', () => {
    expect(parseCidrs('10.0.0.0/8, 192.0.2.1,fd00::/8')).toEqual(['10.0.0.0/8', '192.0.2.1', 'fd00::/8']);
  });

  it.each(['10.0.0.0/33', 'example.com', '10.0.0/8', '::1/129', '10.0.0.1/', '10.0.0.1/8/8'])(
    'refuses "%s"',
    (text) => {
      expect(parseCidrs(text)).toBeUndefined();
    },
  );
});
