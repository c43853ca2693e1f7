import { sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createCsr, inspectCsr } from './csr.ts';
import { generateEcKey, generateRsaKey } from './key.ts';
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
      const { commonName, dnsNames } = names;
      const expected = await createCsr(privateKey, URIS, { dnsNames, ...(commonName && { commonName }) });
      expect(expected.indexOf(body)).toBeGreaterThan(0);
      expect((await inspectCsr(made)).valid).toBe(true);
    }
  });
});
