import { createPublicKey, X509Certificate } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, importSPKI, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { createSelfSigned, generateSigningKey, publicKeyOf, signToken } from './offline.ts';

const NOW = Date.parse('2026-11-24T00:00:00Z');

describe('signToken', () => {
  it('makes a token that the public half of the key verifies', async () => {
    const signingKey = Buffer.from(await generateSigningKey());
    const token = await signToken(
      { kind: 'dataplane', claims: { mesh: 'default', name: 'web-1', tags: new Map([['kuma.io/service', ['web']]]) } },
      { kid: '7', signingKey },
      3_600_000,
      () => NOW,
    );
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'RS256', kid: '7' });
    expect(decodeJwt(token)).toMatchObject({
      Name: 'web-1',
      Mesh: 'default',
      Tags: { 'kuma.io/service': ['web'] },
      exp: NOW / 1000 + 3600,
    });
    const key = await importSPKI(publicKeyOf(signingKey, 'key'), 'RS256');
    await expect(jwtVerify(token, key, { currentDate: new Date(NOW) })).resolves.toBeDefined();
  });

  it('refuses a key that is none', async () => {
    const call = signToken(
      { kind: 'user', claims: { name: 'a', groups: [] } },
      { kid: '1', signingKey: Buffer.from('x') },
      1000,
      () => NOW,
    );
    await expect(call).rejects.toMatchObject({ code: 'invalid-key' });
  });
});

describe('createSelfSigned', () => {
  it.each(['rsa', 'ecdsa'] as const)('makes a server certificate with an %s key', async (keyType) => {
    const { certPem, keyPem } = await createSelfSigned({
      usage: 'server',
      names: ['cp.example.com', '10.0.0.1'],
      keyType,
      now: NOW,
    });
    const certificate = new X509Certificate(certPem);
    expect(certificate.checkHost('cp.example.com')).toBe('cp.example.com');
    expect(certificate.checkIP('10.0.0.1')).toBe('10.0.0.1');
    expect(certificate.ca).toBe(true);
    expect(certificate.verify(createPublicKey(keyPem))).toBe(true);
    expect(createPublicKey(keyPem).asymmetricKeyType).toBe(keyType === 'rsa' ? 'rsa' : 'ec');
  });
});
