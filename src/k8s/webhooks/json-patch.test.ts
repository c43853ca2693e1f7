import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyJsonPatch } from '../../testing/json-patch.ts';
import { diffJson, fillIn, type PatchOperation, sameJson } from './json-patch.ts';

describe('diffJson', () => {
  it.each<[string, unknown, unknown, readonly PatchOperation[]]>([
    ['equal values', { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, []],
    ['a new key', { a: 1 }, { a: 1, 'b/c~d': 2 }, [{ op: 'add', path: '/b~1c~0d', value: 2 }]],
    [
      'a changed and a lost key',
      { a: 1, b: 1 },
      { a: 2 },
      [
        { op: 'replace', path: '/a', value: 2 },
        { op: 'remove', path: '/b' },
      ],
    ],
    ['an item behind', [1, 2], [1, 2, 3], [{ op: 'add', path: '/2', value: 3 }]],
    ['an item in front', [{ n: 1 }], [{ n: 0 }, { n: 1 }], [{ op: 'add', path: '/0', value: { n: 0 } }]],
    ['a key of the prototype', {}, { constructor: 'x' }, [{ op: 'add', path: '/constructor', value: 'x' }]],
  ])('%s', (_what, before, after, patch) => {
    const steps = diffJson(before, after);
    expect(applyJsonPatch(before, steps)).toEqual(after);
    expect(steps).toEqual(patch);
  });

  it('gives steps that make the one value of the other, whatever they are', () => {
    const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'));
    fc.assert(
      fc.property(json, json, (a, b) => {
        const [before, after] = [{ a: [a, b] }, { a: [b, a, b] }];
        expect(sameJson(applyJsonPatch(before, diffJson(before, after)), after)).toBe(true);
      }),
    );
  });
});

describe('fillIn', () => {
  it('keeps what the tidied form does not know', () => {
    const raw = { kept: 1, list: [{ known: 1, unknown: 2 }], zero: 0 };
    const before = { list: [{ known: 1 }] };
    const after = { list: [{ known: 1, filled: 3 }], more: true };
    expect(fillIn(raw, before, after)).toEqual({
      kept: 1,
      list: [{ known: 1, unknown: 2, filled: 3 }],
      zero: 0,
      more: true,
    });
    expect(fillIn(raw, before, before)).toBe(raw);
  });
});
