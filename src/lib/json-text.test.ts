import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonTextError, MAX_JSON_DEPTH, parseJsonText } from './json-text.ts';

const parse = (text: string) => parseJsonText(Buffer.from(text));

describe('parseJsonText', () => {
  it('parses JSON', () => {
    expect(parse('{"a": [1, {"b": "c]}"}], "constructor": 2}')).toEqual({ a: [1, { b: 'c]}' }], constructor: 2 });
  });

  const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  const refused: [string, Buffer | string][] = [
    ['nothing', ''],
    ['not JSON', '{a: 1}'],
    ['cut off', '{"a": '],
    ['two values', '{} {}'],
    ['a byte order mark too much', '\uFEFF\uFEFF{}'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['nested too deep', deep(MAX_JSON_DEPTH + 1)],
    ['nested a hundred thousand deep', deep(100_000)],
    ['deep and never closed', '{"a":'.repeat(100_000)],
    ['__proto__', '{"__proto__": {"admin": true}}'],
    ['__proto__ deep inside', '{"a": [{"__proto__": 1}]}'],
    ['__proto__ escaped', '{"\\u005f_proto__": 1}'],
    ['NUL in a text', '{"a": "x\\u0000"}'],
    ['NUL in a key', '{"a\\u0000": 1}'],
    ['half a surrogate pair', '{"a": "\\ud800"}'],
    ['a number beyond a double', '{"a": 1e999}'],
  ];
  it.each(refused)('refuses %s', (_name, body) => {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    expect(() => parseJsonText(bytes)).toThrow(JsonTextError);
  });

  it('accepts nesting up to the limit, and brackets in texts do not count', () => {
    expect(() => parse(deep(MAX_JSON_DEPTH))).not.toThrow();
    expect(() => parse(JSON.stringify({ a: '[{"'.repeat(500) }))).not.toThrow();
  });

  it('does not repeat the content in its refusal', () => {
    expect(() => parse('{"data": "c2VjcmV0" oops}')).toThrow(/^read the body: not JSON: (?!.*c2V)/);
  });

  it('gives a value or a JsonTextError for any bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array().map(Buffer.from),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          try {
            parseJsonText(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(JsonTextError);
          }
        },
      ),
    );
  });
});
