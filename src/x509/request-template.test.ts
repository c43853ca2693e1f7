import { createPublicKey, type KeyObject, sign, webcrypto } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signingAlgorithm } from './certificate.ts';
import { inspectCsr } from './csr.ts';
import { generateEcKey, generateRsaKey } from './key.ts';
import { loadPeculiar } from './load-peculiar.ts';
import { buildRequest, requestBody } from './request-template.ts';

const URIS = ['spiffe://default/web', 'kuma://kuma.io/service/web'];

describe('buildRequest', () => {
  it.each([
    ['without a subject', { commonName: '', dnsNames: [] }],
    ['with names', { commonName: 'web.default', dnsNames: ['web.example', 'api.example'] }],
    ['with a name that PrintableString cannot hold', { commonName: 'web_*', dnsNames: [] }],
  ])('makes what the X.509 library makes, %s', async (_what, names) => {
    for (const keyType of ['ec-p256', 'rsa-2048'] as const) {
      const { privateKey, publicKey } = keyType === 'ec-p256' ? generateEcKey() : await generateRsaKey(2048);
      const body = requestBody({ publicKey, uriSans: URIS, ...names });
      const made = buildRequest(body, keyType, sign('sha256', body, privateKey));
      const expected = await byTheLibrary(privateKey, names);
      expect(expected.indexOf(body)).toBeGreaterThan(0);
      expect((await inspectCsr(made)).valid).toBe(true);
    }
  });
});

async function byTheLibrary(key: KeyObject, names: { commonName: string; dnsNames: string[] }): Promise<Buffer> {
  const library = await loadPeculiar();
  const algorithm = signingAlgorithm(key);
  const generalNames = [
    ...URIS.map((value) => ({ type: 'url' as const, value })),
    ...names.dnsNames.map((value) => ({ type: 'dns' as const, value })),
  ];
  const request = await library.Pkcs10CertificateRequestGenerator.create(
    {
      name: names.commonName === '' ? '' : [{ CN: [names.commonName] }],
      keys: {
        privateKey: key.toCryptoKey(algorithm, false, ['sign']),
        publicKey: createPublicKey(key).toCryptoKey(algorithm, true, ['verify']),
      },
      signingAlgorithm: algorithm,
      extensions: [new library.SubjectAlternativeNameExtension(generalNames, names.commonName === '')],
    },
    webcrypto,
  );
  return Buffer.from(request.rawData);
}
