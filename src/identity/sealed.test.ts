import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HeldLeaf } from './identity.ts';
import { createSealer } from './sealed.ts';

const proxy = { mesh: 'default', name: 'web-1' };
const leaf: HeldLeaf = {
  chainPem: 'CHAIN',
  keyPem: 'CANARY-PRIVATE-KEY',
  serial: '0a',
  uriSans: ['spiffe://default/web'],
  backend: 'ca-1',
  issuer: 'CN=ca',
  notBefore: 1,
  notAfter: 2,
  issuedAt: 1,
  renewAt: 2,
  generation: 3,
};
const sealer = createSealer(randomBytes(32));

describe('sealed leaves', () => {
  it('come back as they were, and show nothing in between', () => {
    const record = sealer.seal(proxy, leaf);
    expect(sealer.open(record)).toEqual(leaf);
    expect(JSON.stringify(record)).not.toContain('CANARY');
    expect(Buffer.from(record.sealed, 'base64').toString('latin1')).not.toContain('CANARY');
    expect(sealer.seal(proxy, leaf).sealed).not.toBe(record.sealed);
  });
  it('open for their own proxy and key only', () => {
    const record = sealer.seal(proxy, leaf);
    expect(sealer.open({ ...record, proxy: { mesh: 'default', name: 'other' } })).toBeUndefined();
    expect(sealer.open({ ...record, proxy: { mesh: 'other', name: 'web-1' } })).toBeUndefined();
    expect(createSealer(randomBytes(32)).open(record)).toBeUndefined();
    expect(createSealer(randomBytes(32)).open({ ...record, keyId: undefined })).toBeUndefined();
  });
  it('never open, and never throw, when a bit is different or bytes are missing', () => {
    const bytes = Buffer.from(sealer.seal(proxy, leaf).sealed, 'base64');
    fc.assert(
      fc.property(
        fc.nat({ max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (at, mask, cut) => {
          const changed = Buffer.from(bytes);
          changed[at]! ^= mask;
          const sealed = (cut ? bytes.subarray(0, at) : changed).toString('base64');
          expect(sealer.open({ proxy, sealed })).toBeUndefined();
        },
      ),
    );
    fc.assert(
      fc.property(fc.string(), (sealed) => {
        expect(sealer.open({ proxy, sealed })).toBeUndefined();
      }),
    );
  });
});
