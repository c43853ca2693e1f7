import { describe, expect, it } from 'vitest';
import { createCsr, inspectCsr } from './csr.ts';
import { generateEcKey, generateRsaKey } from './key.ts';

describe('createCsr', () => {
  it('asks for exactly the given names, signed by the key', async () => {
    const uriSans = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
    for (const keys of [generateEcKey(), await generateRsaKey(2048)]) {
      const csr = await createCsr(keys.privateKey, uriSans);
      expect(await inspectCsr(csr)).toEqual({ uriSans, publicKey: keys.publicKey, valid: true });
    }
  });
});
