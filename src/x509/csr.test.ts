import { describe, expect, it } from 'vitest';
import { createCsr, inspectCsr } from './csr.ts';
import { generateEcKey, generateRsaKey } from './key.ts';

describe('createCsr', () => {
  it('asks for exactly the given names, signed by the key', async () => {
    const uriSans = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
    for (const keys of [generateEcKey(), await generateRsaKey(2048)]) {
      const csr = await createCsr(keys, uriSans);
      expect(await inspectCsr(csr)).toEqual({
        uriSans,
        subject: '',
        extensions: ['2.5.29.17'],
        publicKey: keys.publicKey,
        valid: true,
      });
    }
  });

  it('takes a common name and DNS names, commas and all', async () => {
    const keys = generateEcKey();
    const csr = await createCsr(keys, ['spiffe://default/web'], {
      commonName: 'web, O=evil',
      dnsNames: ['web.mesh'],
    });
    expect(await inspectCsr(csr)).toMatchObject({
      subject: 'CN=web\\, O=evil',
      uriSans: ['spiffe://default/web', 'dns:web.mesh'],
      valid: true,
    });
  });
});
