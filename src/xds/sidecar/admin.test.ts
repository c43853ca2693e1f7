import { describe, expect, it } from 'vitest';
import { isAdminApiPlain } from './admin.ts';

describe('isAdminApiPlain', () => {
  it.each([
    ['', '127.0.0.1', true],
    ['127.0.0.1', '127.0.0.1', true],
    ['::1', '::1', true],
    ['0.0.0.0', '127.0.0.1', true],
    ['::1', '127.0.0.1', false],
    ['/run/admin.sock', '127.0.0.1', false],
    ['127.0.0.1', '192.0.2.1', false],
    ['0.0.0.0', '192.0.2.1', false],
    ['192.0.2.1', '192.0.2.1', false],
  ])('admin API on "%s", Dataplane on %s: %s', (adminAddress, address, plain) => {
    expect(isAdminApiPlain({ adminAddress }, address)).toBe(plain);
  });
});
