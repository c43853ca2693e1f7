import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { createTestCa, createTestLeaf } from '../../testing/certificates.ts';
import { toPkcs8Pem } from '../../x509/key.ts';
import { makeKey, readKey } from './own-key.ts';
import { leafProblem, type ServedLeaf } from './served-leaf.ts';

const root = await createTestCa();
const intermediate = await createTestCa({ issuer: root, subject: 'CN=intermediate' });
const certificate = await createTestLeaf(intermediate);
const good: ServedLeaf = {
  key: readKey(toPkcs8Pem(certificate.keys.privateKey)),
  serial: new X509Certificate(certificate.der).serialNumber.toLowerCase(),
  chainPem: certificate.pem + intermediate.pem,
  anchorPem: root.pem,
};

it('has nothing against a leaf with its key, its chain and its anchor', () => {
  expect(leafProblem(good, Date.now())).toBeUndefined();
  // The anchor may be an intermediate that came with the chain.
  expect(leafProblem({ ...good, anchorPem: intermediate.pem }, Date.now())).toBeUndefined();
  const whole = certificate.pem + intermediate.pem + root.pem;
  expect(leafProblem({ ...good, chainPem: whole, anchorPem: intermediate.pem }, Date.now())).toBeUndefined();
});

it.each<[string, () => Promise<Partial<ServedLeaf>>, RegExp]>([
  ['another key', async () => ({ key: await makeKey('ec-p256') }), /another key/],
  ['another serial', async () => ({ serial: '01' }), /serial/],
  ['a chain with a gap', async () => ({ chainPem: certificate.pem }), /chain is broken/],
  ['the root of somebody else', async () => ({ anchorPem: (await createTestCa()).pem }), /chain is broken/],
  ['no anchor', async () => ({ anchorPem: '' }), /without the CA/],
  ['no certificate', async () => ({ chainPem: 'garbage' }), /no certificate/],
  [
    'broken DER',
    async () => ({ chainPem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }),
    /no certificate/,
  ],
])('refuses a leaf with %s', async (_what, change, reason) => {
  expect(leafProblem({ ...good, ...(await change()) }, Date.now())).toMatch(reason);
});

it('refuses one that has ended', () => {
  expect(leafProblem(good, Date.now() + 1000 * 86_400_000)).toMatch(/expired/);
});
