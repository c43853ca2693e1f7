import { describe, expect, it } from 'vitest';
import { type CrlAnswer, crlBundle, uncovered } from './crls.ts';

const signed = (...issuers: string[]): CrlAnswer => ({
  kind: 'signed',
  crls: issuers.map((issuer) => ({ pem: `CRL of ${issuer}\n`, issuerPem: issuer })),
});

describe('CRLs of a mesh', () => {
  it('are used when there is one of every CA that leaves stand on', () => {
    const subjects = [
      { name: 'a', retained: ['A'], answer: signed('A') },
      { name: 'b', retained: [], answer: signed('B') },
      { name: 'rotating', retained: ['OLD', 'NEW'], answer: signed('NEW', 'OLD') },
    ];
    expect(uncovered(subjects)).toBeUndefined();
    expect(crlBundle(subjects)).toBe('CRL of A\nCRL of B\nCRL of NEW\nCRL of OLD\n');
  });

  it.each([
    [
      'a backend has none',
      { name: 'b', retained: [], answer: { kind: 'none', why: 'has no key' } },
      'backend "b" has no key',
    ],
    [
      'leaves of a former CA live',
      { name: 'b', retained: ['OLD', 'B'], answer: signed('B') },
      'a CA that backend "b" has replaced',
    ],
  ] as const)('are not used when %s: its good leaves would be refused', (_what, other, why) => {
    expect(uncovered([{ name: 'a', retained: ['A'], answer: signed('A') }, other])).toContain(why);
  });
});
