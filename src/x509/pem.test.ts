import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePem, toPem } from './pem.ts';

describe('PEM', () => {
  it('reads back what it writes, with text around the blocks', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 5 }), (all) => {
        const text = `subject=x\n${all.map((der) => toPem('CERTIFICATE', der)).join('some text\n')}`;
        expect(parsePem(text).map(({ der }) => [...der])).toEqual(all.map((der) => [...der]));
      }),
    );
  });

  it('answers any bytes with blocks or a typed error', () => {
    const piece = fc.constantFrom(
      '-----BEGIN ',
      '-----',
      'CERTIFICATE',
      '-----END CERTIFICATE-----',
      '\n',
      'MIIB',
      '=',
      ' ',
      '\u0000',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 40 }), (pieces) => {
        try {
          parsePem(pieces.join(''));
        } catch (error) {
          expect(error).toMatchObject({ name: 'X509Error' });
        }
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['truncated', '-----BEGIN CERTIFICATE-----\nMIIB'],
    ['another end', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END PRIVATE KEY-----'],
    ['no base64', '-----BEGIN CERTIFICATE-----\n<html>\n-----END CERTIFICATE-----'],
    ['empty body', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----'],
    ['endless label', `-----BEGIN ${'A'.repeat(100)}`],
  ])('refuses a block with %s', (_, text) => {
    expect(() => parsePem(text)).toThrowError(expect.objectContaining({ code: 'malformed' }));
  });

  it('takes time in proportion to the size, whatever the content', () => {
    const hostile = [
      '-----BEGIN '.repeat(90_000),
      ' \n'.repeat(500_000),
      `-----BEGIN A-----${' '.repeat(900_000)}!-----END A-----`,
    ];
    for (const text of hostile) {
      const start = performance.now();
      expect(outcome(() => parsePem(text.slice(0, 1_000_000)))).toMatch(/^(read|X509Error)$/);
      expect(performance.now() - start).toBeLessThan(500);
    }
  });

  it('refuses more bytes or blocks than allowed', () => {
    const block = toPem('CERTIFICATE', Buffer.from('x'));
    expect(() => parsePem(block.repeat(3), { maxBytes: 10_000, maxBlocks: 2 })).toThrowError(/2 blocks/);
    expect(() => parsePem('a'.repeat(50_000_000))).toThrowError(expect.objectContaining({ code: 'too-large' }));
  });
});

function outcome(run: () => unknown): string {
  try {
    run();
    return 'read';
  } catch (error) {
    return (error as Error).name;
  }
}
