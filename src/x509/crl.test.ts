import { expect, it } from 'vitest';
import { createTestCa, createTestLeaf, type TestCertificate } from '../testing/certificates.ts';
import { inspectCertificate, readNode } from './certificate.ts';
import { createCrl } from './crl.ts';
import { loadPeculiar } from './load-peculiar.ts';
import { parsePem } from './pem.ts';

const now = Date.parse('2026-11-26T12:00:00Z');

async function crlOf(ca: TestCertificate, revoked: readonly { serial: string; at: number }[], number = 7) {
  const pem = await createCrl({
    issuer: await inspectCertificate(ca.der),
    key: ca.keys.privateKey,
    number,
    thisUpdate: now,
    nextUpdate: now + 3_600_000,
    revoked,
  });
  const library = await loadPeculiar();
  return { pem, crl: new library.X509Crl(parsePem(pem)[0]!.der as Buffer<ArrayBuffer>), library };
}

it.each([{}, { rsaBits: 2048 }])('is signed by the CA, numbered, and lists what is revoked %j', async (key) => {
  const ca = await createTestCa({ now, ...key });
  const leaf = await createTestLeaf(ca, { now });
  const serial = readNode(leaf.der).serialNumber.toLowerCase();
  const { crl, library } = await crlOf(ca, [{ serial, at: now }]);
  expect(await crl.verify({ publicKey: new library.X509Certificate(ca.der as Buffer<ArrayBuffer>) })).toBe(true);
  expect(crl.findRevoked(serial)?.revocationDate).toEqual(new Date(now));
  expect(crl.findRevoked('01')).toBeNull();
  expect(crl.nextUpdate).toEqual(new Date(now + 3_600_000));
  expect(crl.extensions.map(({ type }) => type)).toEqual(['2.5.29.35', '2.5.29.20']);
});

it('may list nothing', async () => {
  const { crl } = await crlOf(await createTestCa({ now }), []);
  expect(crl.entries).toEqual([]);
});

it('is refused for a CA that must not sign CRLs', async () => {
  const ca = await createTestCa({ now, keyUsage: 32 });
  await expect(crlOf(ca, [])).rejects.toMatchObject({
    code: 'no-crl-sign',
    message: expect.stringContaining('cRLSign'),
  });
});
