import { describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf, type TestCertificateOptions } from '../testing/certificates.ts';
import { CLIENT_AUTH, KEY_USAGE } from './certificate.ts';
import { inspectPresented, type PresentedExpectation } from './presented.ts';

const HOUR = 3_600_000;
const now = Date.now();
const ca = await createTestCa({ now });

async function failed(leaf: TestCertificateOptions, expected: Partial<PresentedExpectation> = {}, issuer = ca) {
  const { pem } = await createTestLeaf(issuer, { now, ...leaf });
  const checks = await inspectPresented(pem, { bundlePem: ca.pem, trustDomain: 'default', now, ...expected });
  return checks.filter(({ ok }) => !ok).map(({ name, message }) => `${name}: ${message}`);
}

describe('inspectPresented', () => {
  it('has nothing against a good leaf', async () => {
    const uriSans = ['kuma://kuma.io/service/web', 'spiffe://default/web'];
    expect(await failed({}, { uriSans })).toEqual([]);
  });

  it('follows intermediates to the anchor', async () => {
    const intermediate = await createTestCa({ now, issuer: ca, to: 48 * HOUR, pathLength: 0 });
    const { pem } = await createTestLeaf(intermediate, { now });
    const expected = { bundlePem: ca.pem, trustDomain: 'default', now };
    const whole = await inspectPresented(pem + intermediate.pem, expected);
    expect(whole.filter(({ ok }) => !ok)).toEqual([]);
    const [chain] = await inspectPresented(pem, expected);
    expect(chain).toMatchObject({ name: 'chain', ok: false });
  });

  it.each<[string, TestCertificateOptions, Partial<PresentedExpectation>, RegExp]>([
    ['an expired one', { from: -2 * HOUR, to: -HOUR }, {}, /^dates: the leaf expired at /],
    ['one of tomorrow', { from: HOUR }, {}, /^dates: the leaf is valid only from /],
    ['one without a SPIFFE ID', { uriSans: ['kuma://kuma.io/service/web'] }, {}, /^names: it has no SPIFFE ID/],
    [
      'one of another mesh',
      { uriSans: ['spiffe://other/web'] },
      {},
      /^names: spiffe:\/\/other\/web is not of mesh default/,
    ],
    [
      'one of another service',
      {},
      { uriSans: ['spiffe://default/api'] },
      /^names: it has not spiffe:\/\/default\/api; it has /,
    ],
    [
      'one for clients only',
      { extendedKeyUsage: [CLIENT_AUTH] },
      {},
      /^key usage: extended key usage has no serverAuth/,
    ],
    ['a CA', { isCa: true, keyUsage: KEY_USAGE.keyCertSign }, {}, /^key usage: it may sign certificates itself/],
    ['SHA-1', { hash: 'SHA-1' }, {}, /^signature: signed with SHA-1/],
    ['one that outlives its CA', { to: 400 * 24 * HOUR }, {}, /^dates: the leaf ends after its issuer/],
  ])('says what is wrong with %s', async (_what, leaf, expected, reason) => {
    const reasons = await failed(leaf, expected);
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatch(reason);
  });

  it('says that another CA signed it, and everything else too', async () => {
    const other = await createTestCa({ now });
    const reasons = await failed({ from: -2 * HOUR, to: -HOUR, uriSans: ['spiffe://other/web'] }, {}, other);
    expect(reasons.map((reason) => reason.split(':')[0])).toEqual(['chain', 'dates', 'names']);
  });
});
