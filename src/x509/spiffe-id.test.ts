import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSpiffeId, parseSpiffeId, spiffeIdProblem } from './spiffe-id.ts';

describe('SPIFFE ids', () => {
  it.each([
    'spiffe://trustdomain',
    'spiffe://trustdomain/path',
    'spiffe://trustdomain/path/to/workload',
    'spiffe://default/Web_1.v2-x',
    'spiffe://1.2.3.4/...',
    'spiffe://a-b_c.d/.hidden',
    'spiffe://td/-',
  ])('accepts %s', (id) => {
    expect(spiffeIdProblem(id)).toBeUndefined();
    const { trustDomain, path } = parseSpiffeId(id);
    expect(`spiffe://${trustDomain}${path}`).toBe(id);
  });

  it.each([
    ['', 'empty'],
    ['trustdomain/path', 'scheme'],
    ['SPIFFE://trustdomain', 'scheme'],
    ['http://trustdomain', 'scheme'],
    ['spiffe:/trustdomain', 'scheme'],
    ['spiffe://', 'trust domain is missing'],
    ['spiffe:///path', 'trust domain is missing'],
    ['spiffe://TrustDomain/path', 'trust domain characters'],
    ['spiffe://trustdomain:80/path', 'trust domain characters'],
    ['spiffe://user@trustdomain/path', 'trust domain characters'],
    ['spiffe://trust%64omain/path', 'trust domain characters'],
    ['spiffe://trustdomäin/path', 'trust domain characters'],
    ['spiffe://trustdomain?x', 'trust domain characters'],
    ['spiffe://trustdomain/', 'trailing slash'],
    ['spiffe://trustdomain/a/', 'trailing slash'],
    ['spiffe://trustdomain//a', 'empty segments'],
    ['spiffe://trustdomain/.', 'dot segments'],
    ['spiffe://trustdomain/..', 'dot segments'],
    ['spiffe://trustdomain/a/../b', 'dot segments'],
    ['spiffe://trustdomain/%2e%2e', 'path segment characters'],
    ['spiffe://trustdomain/a?b', 'path segment characters'],
    ['spiffe://trustdomain/a#b', 'path segment characters'],
    ['spiffe://trustdomain/a\u0000', 'path segment characters'],
    ['spiffe://trustdomain/a\n', 'path segment characters'],
    ['spiffe://trustdomain/a,URI:spiffe://x', 'path segment characters'],
    ['spiffe://trustdomain/ä', 'path segment characters'],
    ['spiffe://trustdomain/a:b', 'path segment characters'],
    [`spiffe://trustdomain/${'a'.repeat(2048)}`, 'longer than 2048'],
  ])('refuses %j', (id, reason) => {
    expect(spiffeIdProblem(id)).toContain(reason);
    expect(() => parseSpiffeId(id)).toThrowError(expect.objectContaining({ code: 'invalid-spiffe-id' }));
  });

  it.each(['a/b', '.', '..', '%2e', 'a#b', 'a?b', 'a\u0000b', 'ü', 'a\nb', 'a,b', '', 'a b'])(
    'makes no id of the service name %j',
    (service) => {
      expect(() => formatSpiffeId('default', service)).toThrowError(
        expect.objectContaining({ code: 'invalid-spiffe-id' }),
      );
    },
  );

  it('reads back exactly what it makes, and never makes what it would not read', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.string({ unit: 'binary', maxLength: 40 }),
        (domain, segment) => {
          let made: string;
          try {
            made = formatSpiffeId(domain, segment);
          } catch (error) {
            expect(error).toMatchObject({ code: 'invalid-spiffe-id' });
            return;
          }
          expect(parseSpiffeId(made)).toEqual({ trustDomain: domain, path: `/${segment}` });
        },
      ),
      { numRuns: 2000 },
    );
  });
});
