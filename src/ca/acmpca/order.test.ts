import { describe, expect, it } from 'vitest';
import { idempotencyToken, isWorthwhile, type Order, readOrder } from './order.ts';
import { SHORT_LIVED_MS, validityFor } from './validity.ts';

const HOUR = 3_600_000;
const now = 1_700_000_000_000;
const order: Order = {
  csr: 'AAAA',
  signingAlgorithm: 'SHA256WITHECDSA',
  notBefore: now / 1000 - 60,
  notAfter: (now + 24 * HOUR) / 1000,
  uriSans: ['spiffe://default/web'],
  caArn: 'arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/a',
  askedAt: now,
};

describe('an order', () => {
  it('is read as it was written, and not when it is anything else', () => {
    expect(readOrder(JSON.parse(JSON.stringify(order)))).toEqual(order);
    for (const other of [undefined, null, 'x', {}, { ...order, csr: '<' }, { ...order, signingAlgorithm: 'x' }])
      expect(readOrder(other)).toBeUndefined();
  });

  it('has a token that depends on the CSR alone and fits', () => {
    expect(idempotencyToken(order)).toBe(idempotencyToken({ csr: 'AAAA' }));
    expect(idempotencyToken(order)).not.toBe(idempotencyToken({ csr: 'AAAB' }));
    expect(idempotencyToken(order).length).toBeLessThanOrEqual(36);
  });

  it('is repeated while AWS knows its token; once placed it is fetched as long as that is worth it', () => {
    expect(isWorthwhile(order, now + 280_000)).toBe(true);
    expect(isWorthwhile(order, now + 300_000)).toBe(false);
    const placed = { ...order, certificateArn: 'arn' };
    expect(isWorthwhile(placed, now + 2 * HOUR)).toBe(true);
    expect(isWorthwhile(placed, now + 3 * HOUR)).toBe(false);
  });
});

describe('the validity of a leaf', () => {
  const usual = { now, lifetimeMs: 24 * HOUR, caNotAfter: now + 1e12, shortLived: false };
  const lives = (change: Partial<typeof usual>) => validityFor({ ...usual, ...change }).notAfter * 1000 - now;

  it('is what was asked for, in whole seconds, from a minute ago', () => {
    expect(validityFor({ ...usual, now: now + 999 })).toEqual({
      notBefore: now / 1000 - 60,
      notAfter: (now + 24 * HOUR) / 1000,
    });
  });

  it('is never longer than that of the CA', () => {
    expect(lives({ caNotAfter: now + HOUR })).toBeLessThan(HOUR);
    expect(lives({ caNotAfter: now + HOUR })).toBeGreaterThan(HOUR - 60_000);
  });

  it('is at most seven days in short-lived mode, beginning and all', () => {
    const { notBefore, notAfter } = validityFor({ ...usual, lifetimeMs: 900 * HOUR, shortLived: true });
    expect((notAfter - notBefore) * 1000).toBe(SHORT_LIVED_MS);
    expect(lives({ lifetimeMs: HOUR, shortLived: true })).toBe(HOUR);
  });
});
