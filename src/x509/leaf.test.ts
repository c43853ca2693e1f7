import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf, type TestCertificate } from '../testing/certificates.ts';
import { inspectCertificate, readNode } from './certificate.ts';
import { generateEcKey, generateRsaKey, type KeyPair, toSpki } from './key.ts';
import { createLeafTemplate, type LeafFields, randomSerial } from './leaf.ts';
import { toPem } from './pem.ts';

const openssl = spawnSync('openssl', ['version']).status === 0;

async function templateOf(ca: TestCertificate) {
  const { subject, keyId, node } = await inspectCertificate(ca.der);
  return createLeafTemplate({ subject, keyId, key: node.publicKey });
}

function ecKeys(curve: string): KeyPair {
  const pair = generateKeyPairSync('ec', { namedCurve: curve });
  return { privateKey: pair.privateKey, publicKey: toSpki(pair.publicKey) };
}

const NOW = Date.UTC(2026, 10, 24, 4, 0, 0, 250);

function fields(change: Partial<LeafFields> = {}): LeafFields {
  return {
    serial: randomSerial(),
    notBefore: NOW - 10_000,
    notAfter: NOW + 86_400_000,
    publicKey: generateEcKey().publicKey,
    uriSans: ['spiffe://default/web', 'kuma://kuma.io/protocol/http', 'kuma://kuma.io/service/web'],
    ...change,
  };
}

describe('leaf template', () => {
  it('gives the bytes that the X.509 library gives for the same content', async () => {
    const ca = await createTestCa({ now: NOW });
    const leaf = await createTestLeaf(ca, { now: NOW });
    const node = readNode(leaf.der);
    const same = {
      serial: Buffer.from(node.serialNumber, 'hex'),
      notBefore: NOW - 10_000,
      notAfter: NOW + 86_400_000,
      publicKey: leaf.keys.publicKey,
      uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web'],
    };
    const template = await templateOf(ca);
    expect(template.matches(leaf.der, same)).toBe(true);
    expect(template.matches(leaf.der, { ...same, uriSans: ['spiffe://default/web'] })).toBe(false);
    expect(template.matches(leaf.der, { ...same, notAfter: NOW })).toBe(false);
    expect(template.matches(leaf.der, { ...same, publicKey: generateEcKey().publicKey })).toBe(false);
    expect(template.matches(leaf.der.subarray(0, 20), same)).toBe(false);
  });

  it.each([
    ['P-256', () => ecKeys('P-256')],
    ['P-384', () => ecKeys('P-384')],
    ['P-521', () => ecKeys('P-521')],
    ['RSA', () => generateRsaKey(2048)],
  ])('is read by OpenSSL and by the library under a %s CA', async (_, makeKeys) => {
    const ca = await createTestCa({ keys: await makeKeys(), now: NOW });
    const content = fields();
    const der = (await templateOf(ca)).sign(content, ca.keys.privateKey);
    const facts = await inspectCertificate(der);
    expect(facts).toMatchObject({
      uriSans: content.uriSans,
      dnsSans: [],
      otherSans: 0,
      isCa: false,
      pathLength: undefined,
      keyUsage: 1 | 4 | 16,
      extendedKeyUsage: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
      issuerText: 'CN=default,OU=Mesh,O=Kuma',
      subjectText: '',
      unknownCritical: [],
    });
    expect(facts.node.verify(readNode(ca.der).publicKey)).toBe(true);
    expect(facts.node.checkIssued(readNode(ca.der))).toBe(true);
    expect(facts.node.validFromDate.getTime()).toBe(Math.floor(content.notBefore / 1000) * 1000);
    expect(facts.node.validToDate.getTime()).toBe(Math.floor(content.notAfter / 1000) * 1000);
  });

  it('keeps every field for any content', async () => {
    const ca = await createTestCa();
    const template = await templateOf(ca);
    const publicKey = generateEcKey().publicKey;
    const name = fc.stringMatching(/^[a-zA-Z0-9._-]{1,60}$/);
    const serial = fc.uint8Array({ minLength: 1, maxLength: 16 }).filter((bytes) => bytes.some((byte) => byte !== 0));
    const second = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) / 1000 });
    await fc.assert(
      fc.asyncProperty(
        serial,
        second,
        second,
        fc.array(name, { minLength: 1, maxLength: 40 }),
        async (bytes, from, to, names) => {
          const uriSans = names.map((text) => `kuma://kuma.io/service/${text}`);
          const content = { serial: bytes, notBefore: from * 1000, notAfter: to * 1000, publicKey, uriSans };
          const der = template.sign(content, ca.keys.privateKey);
          const facts = await inspectCertificate(der);
          expect(facts.uriSans).toEqual(uriSans);
          expect(BigInt(`0x${facts.node.serialNumber}`)).toBe(BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
          expect(facts.node.validFromDate.getTime()).toBe(from * 1000);
          expect(facts.node.validToDate.getTime()).toBe(to * 1000);
          expect(template.matches(der, content)).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  it.skipIf(!openssl)('passes openssl verify for both purposes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-leaf-'));
    try {
      const ca = await createTestCa();
      const now = Date.now();
      const der = (await templateOf(ca)).sign(
        fields({ notBefore: now - 10_000, notAfter: now + 60_000 }),
        ca.keys.privateKey,
      );
      writeFileSync(join(folder, 'ca.pem'), ca.pem);
      writeFileSync(join(folder, 'leaf.pem'), toPem('CERTIFICATE', der));
      for (const purpose of ['sslserver', 'sslclient']) {
        const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.pem', 'leaf.pem'];
        expect(execFileSync('openssl', args, { cwd: folder, encoding: 'utf8' })).toContain('leaf.pem: OK');
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('draws serials that are positive and differ', () => {
    const serials = new Set(Array.from({ length: 100 }, () => randomSerial().toString('hex')));
    expect(serials.size).toBe(100);
  });
});
