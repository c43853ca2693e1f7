import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeConfs, mergePatch } from './merge.ts';

describe('mergeConfs', () => {
  it('merges objects, replaces scalars and lists, removes on null', () => {
    const weak = { a: 1, b: { c: [1, 2], d: 'x' }, gone: true };
    const strong = { b: { c: [3] }, gone: null, e: {} };
    expect(mergeConfs<unknown>([weak, strong])).toEqual({ a: 1, b: { c: [3], d: 'x' }, e: {} });
  });

  it('concatenates lists in fields that start with append, at every level', () => {
    expect(
      mergeConfs([
        { appendMatch: [1], x: { appendTags: ['a'] } },
        { appendMatch: [2], x: { appendTags: ['b'] } },
      ]),
    ).toEqual({
      appendMatch: [1, 2],
      x: { appendTags: ['a', 'b'] },
    });
  });

  it('gives undefined for nothing and a conf for itself', () => {
    expect(mergeConfs([])).toBeUndefined();
    expect(mergeConfs([{ a: [1] }])).toEqual({ a: [1] });
  });

  // The test cases of RFC 7396, appendix A.
  it.each<[unknown, unknown, unknown]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('patches %j with %j to %j', (target, patch, expected) => {
    expect(mergePatch(target as never, patch as never)).toEqual(expected);
  });

  const conf = fc.dictionary(
    fc.constantFrom('a', 'b', 'appendC'),
    fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.integer(),
        fc.boolean(),
        fc.array(fc.integer(), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'appendC'), tie('value')),
      ),
    })).value,
  );

  it('holds the laws: empty changes nothing, grouping does not matter, inputs stay as they were', () => {
    fc.assert(
      fc.property(conf, conf, conf, (a, b, c) => {
        const before = JSON.stringify([a, b, c]);
        expect(mergeConfs([a, {}])).toEqual(a);
        expect(mergeConfs([{}, a])).toEqual(a);
        expect(mergeConfs<unknown>([mergeConfs([a, b]), c])).toEqual(mergeConfs([a, b, c]));
        expect(JSON.stringify([a, b, c])).toBe(before);
      }),
    );
  });
});
