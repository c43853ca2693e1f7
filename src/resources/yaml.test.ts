import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseYamlDocuments, toYaml, YamlError } from './yaml.ts';

const values = (text: string) => parseYamlDocuments(text).map((document) => document.value);

describe('parseYamlDocuments', () => {
  it('reads every document, with the line it starts at, and skips empty ones', () => {
    const text = 'type: Mesh\nname: a\n---\n---\n# only a comment\n---\ntype: Mesh\nname: b\n';
    expect(parseYamlDocuments(text)).toEqual([
      { value: { type: 'Mesh', name: 'a' }, line: 1 },
      { value: { type: 'Mesh', name: 'b' }, line: 7 },
    ]);
  });

  it('reads JSON', () => {
    expect(values('{"type": "Mesh", "list": [1, null, true]}')).toEqual([{ type: 'Mesh', list: [1, null, true] }]);
  });

  it('gives nothing for nothing', () => {
    expect(parseYamlDocuments('')).toEqual([]);
    expect(parseYamlDocuments('---\n...\n')).toEqual([]);
  });

  it('resolves anchors and merge keys', () => {
    expect(values('a: &x {k: 1}\nb:\n  <<: *x\n  l: 2\n')).toEqual([{ a: { k: 1 }, b: { k: 1, l: 2 } }]);
  });

  it('takes yes and on for the text they are', () => {
    expect(values('a: yes\nb: on\n')).toEqual([{ a: 'yes', b: 'on' }]);
  });

  it.each<[string, string, number, number]>([
    ['a broken flow list', 'type: Mesh\nlist: [1, 2\nname: x\n', 3, 1],
    ['a tab as indentation', 'a:\n\tb: 1\n', 2, 1],
    ['a repeated key', 'a: 1\nb: 2\na: 3\n', 3, 1],
    ['an alias to nowhere', 'a: *gone\n', 1, 4],
  ])('says where %s is', (_what, text, line, column) => {
    const error = failure(text);
    expect([error.line, error.column]).toEqual([line, column]);
    expect(error.message).toMatch(new RegExp(`^parse YAML at line ${line}, column ${column}: `));
  });

  it.each<[string, string]>([
    ['__proto__ as a key', '__proto__:\n  admin: true\n'],
    ['__proto__ deep inside', 'a:\n  - {b: {"__proto__": 1}}\n'],
    ['a merged __proto__', 'x: &x {"__proto__": {y: 1}}\nz:\n  <<: *x\n'],
    ['not a number', 'a: .nan\n'],
    ['infinity', 'a: -.inf\n'],
    ['brackets without end', '['.repeat(100_000)],
    ['braces without end', '{a: '.repeat(100_000)],
    ['deep block nesting', Array.from({ length: 200 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
    ['an alias inside its anchor', 'a: &a\n  b: *a\n'],
  ])('refuses %s', (_what, text) => {
    failure(text);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  it('refuses an alias bomb quickly', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 12; level += 1) {
      lines.push(
        `a${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(', ')}]`,
      );
    }
    const start = performance.now();
    failure(lines.join('\n'));
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it('refuses a text beyond the limit without reading it', () => {
    expect(failure('#'.repeat(5 * 1024 * 1024)).message).toMatch(/longer than/);
  });

  it('gives documents or a YamlError for any text, soon', () => {
    const token = fc.constantFrom(
      'a',
      ': ',
      '\n',
      '- ',
      '  ',
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
      '#',
      '&a ',
      '*a',
      '<<',
      '|',
      '>',
      '!',
      '---\n',
      '...\n',
      '%',
      '\t',
      '\u0000',
      '0x1',
      '~',
      '?',
      ',',
      '@',
      '`',
      '\ud800',
      'é',
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(token, { maxLength: 80 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const start = performance.now();
        try {
          expect(JSON.stringify(parseYamlDocuments(text))).toBeTypeOf('string');
        } catch (error) {
          expect(error).toBeInstanceOf(YamlError);
        }
        expect(performance.now() - start).toBeLessThan(500);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('toYaml', () => {
  it('is read back as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4, noUnicodeString: false }), (value) => {
        fc.pre(value !== null && !JSON.stringify(value).includes('__proto__'));
        const plain: unknown = JSON.parse(JSON.stringify(value));
        expect(values(toYaml(plain))).toEqual([plain]);
      }),
    );
  });
});

function failure(text: string): YamlError {
  try {
    parseYamlDocuments(text);
  } catch (error) {
    if (error instanceof YamlError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
