import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { generateEcKey, generateRsaKey, parsePrivateKey, toPkcs8Pem, toTraditionalPem } from './key.ts';

describe('private keys', () => {
  it('reads PKCS#8, SEC1 and PKCS#1, and skips other blocks', async () => {
    const ec = generateEcKey();
    const rsa = await generateRsaKey(2048);
    expect(toTraditionalPem(ec.privateKey)).toContain('BEGIN EC PRIVATE KEY');
    expect(toTraditionalPem(rsa.privateKey)).toContain('BEGIN RSA PRIVATE KEY');
    for (const { privateKey, publicKey } of [ec, rsa]) {
      for (const pem of [toPkcs8Pem(privateKey), toTraditionalPem(privateKey)]) {
        const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
        expect(parsePrivateKey(parameters + pem).publicKey).toEqual(publicKey);
      }
    }
  });

  const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const encrypted = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  });
  it.each([
    ['no block', 'KEY', 'not-found'],
    ['only a certificate', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n', 'not-found'],
    ['garbage in the block', '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n', 'malformed'],
    ['a passphrase', String(encrypted), 'encrypted-key'],
    ['too few bits', toPkcs8Pem(rsa1024), 'unsupported-key'],
    ['Ed25519', toPkcs8Pem(generateKeyPairSync('ed25519').privateKey), 'unsupported-key'],
    ['secp256k1', toPkcs8Pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey), 'unsupported-key'],
  ])('refuses a key with %s', (_, pem, code) => {
    expect(() => parsePrivateKey(pem)).toThrowError(expect.objectContaining({ code }));
  });

  it('says nothing of the key in an error', () => {
    const body = toPkcs8Pem(generateEcKey().privateKey).split('\n')[1]!;
    try {
      parsePrivateKey(`-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`);
      expect.unreachable();
    } catch (error) {
      expect(String((error as Error).stack) + String((error as Error).cause)).not.toContain(body.slice(0, 16));
    }
  });
});
