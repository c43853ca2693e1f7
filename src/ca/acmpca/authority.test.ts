import { describe, expect, it } from 'vitest';
import { createTestCa } from '../../testing/certificates.ts';
import { anchorsFor, signingAlgorithmFor } from './authority.ts';

describe('how a CA signs', () => {
  it.each([
    ['RSA_2048', 'SHA256WITHRSA', 'SHA256WITHRSA'],
    ['RSA_4096', 'SHA512WITHRSA', 'SHA512WITHRSA'],
    ['EC_prime256v1', 'SHA256WITHECDSA', 'SHA256WITHECDSA'],
    ['EC_secp384r1', 'SHA256WITHRSA', 'SHA384WITHECDSA'],
    ['EC_secp521r1', '', 'SHA512WITHECDSA'],
    ['SM2', 'SM3WITHSM2', undefined],
    ['ML_DSA_65', 'ML_DSA_65', undefined],
  ])('with a key of %s, made with "%s", is %s', (keyAlgorithm, signingAlgorithm, expected) => {
    expect(signingAlgorithmFor({ keyAlgorithm, signingAlgorithm })).toBe(expected);
  });
});

describe('what to trust', () => {
  const DAY = 86_400_000;

  it('is the top of the chain, until the first of the path ends', async () => {
    const root = await createTestCa({ subject: 'CN=root', to: 3 * DAY });
    const middle = await createTestCa({ subject: 'CN=middle', to: DAY, issuer: root });
    const own = await createTestCa({ subject: 'CN=own', to: 2 * DAY, issuer: middle });
    const anchors = anchorsFor({ certificate: own.pem.trimEnd(), chain: middle.pem + root.pem.trimEnd() }, undefined);
    expect(anchors?.pem).toBe(root.pem);
    expect(anchors!.notAfter - Date.now()).toBeLessThanOrEqual(DAY);
    expect(anchors!.notAfter - Date.now()).toBeGreaterThan(DAY - 60_000);
    // An intermediate that is trusted ends the path; what is above does not count.
    const pinned = anchorsFor({ certificate: own.pem, chain: middle.pem + root.pem }, own.pem);
    expect(pinned).toMatchObject({ pem: own.pem });
    expect(pinned!.notAfter - Date.now()).toBeGreaterThan(1.9 * DAY);
  });

  it('is the CA itself when it is a root', async () => {
    const root = await createTestCa({ subject: 'CN=root' });
    expect(anchorsFor({ certificate: root.pem, chain: '' }, undefined)?.pem).toBe(root.pem);
  });

  it('is nothing when what was given is not above the CA', async () => {
    const own = await createTestCa({ subject: 'CN=own' });
    const other = await createTestCa({ subject: 'CN=own' });
    expect(anchorsFor({ certificate: own.pem, chain: '' }, other.pem)).toBeUndefined();
  });

  it('throws what cannot be read', () => {
    expect(() => anchorsFor({ certificate: '<html>', chain: '' }, undefined)).toThrow(/no CERTIFICATE block/);
  });
});
