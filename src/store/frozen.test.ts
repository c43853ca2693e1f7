import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frozenJson } from './frozen.ts';

function isDeeplyFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen);
}

describe('frozenJson', () => {
  it('is what a trip through JSON text gives, frozen, whatever the value and the old one', () => {
    const json = fc.jsonValue();
    fc.assert(
      fc.property(json, json, (value, before) => {
        const old = frozenJson(before);
        const frozen = frozenJson(value, old);
        expect(JSON.stringify(sorted(frozen))).toBe(JSON.stringify(sorted(value)));
        expect(isDeeplyFrozen(frozen)).toBe(true);
      }),
    );
  });

  it('returns the old value itself for an equal one', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const old = frozenJson(value);
        expect(frozenJson(structuredClone(value), old)).toBe(old);
      }),
    );
  });

  it('follows JSON for what JSON does not have', () => {
    expect(frozenJson({ gone: undefined, list: [undefined, () => 1], at: new Date(0), nan: Number.NaN })).toEqual({
      list: [null, null],
      at: '1970-01-01T00:00:00.000Z',
      nan: null,
    });
    expect(() => frozenJson({ big: 1n })).toThrow(TypeError);
  });

  it('sees a member that went away, came, or changed its kind', () => {
    const old = frozenJson({ a: 1, b: { c: [1] } });
    expect(frozenJson({ a: 1 }, old)).toEqual({ a: 1 });
    expect(frozenJson({ a: 1, b: { c: [1] }, d: undefined }, old)).toBe(old);
    expect(frozenJson({ a: 1, b: { c: { 0: 1 } } }, old)).toEqual({ a: 1, b: { c: { 0: 1 } } });
    expect(frozenJson({ a: 1, toString: 2 }, frozenJson({ a: 1, b: 2 }))).toEqual({ a: 1, toString: 2 });
  });
});

/** Key order and -0 do not count. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, sorted(member)]);
}
