import { describe, expect, it } from 'vitest';
import type { HeldLeaf, RenewalRequest } from './identity.ts';
import { createRenewals, REQUEST_LIFE_MS, renewalWindowMs } from './renewals.ts';

const HOUR = 3_600_000;
const leaf: HeldLeaf = {
  chainPem: '',
  keyPem: '',
  serial: '0a',
  uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web'],
  backend: 'ca-1',
  issuer: 'CN=ca',
  notBefore: 0,
  notAfter: 24 * HOUR,
  issuedAt: 0,
  renewAt: 18 * HOUR,
  generation: 1,
};
const proxy = (name: string) => ({ mesh: 'default', name });

function turnAfter(request: Partial<RenewalRequest>, name = 'web-1', of = leaf): number | undefined {
  const renewals = createRenewals();
  renewals.add({ mesh: 'default', at: HOUR, ...request }, HOUR);
  return renewals.turn(proxy(name), of);
}

describe('renewals', () => {
  it.each([
    ['its name', { proxy: 'web-1' }, true],
    ['another name', { proxy: 'web-2' }, false],
    ['its service', { service: 'web' }, true],
    ['another service', { service: 'we' }, false],
    ['all of the mesh', {}, true],
    ['its backend', { backend: 'ca-1' }, true],
    ['another backend', { backend: 'ca-2' }, false],
    ['another mesh', { mesh: 'other' }, false],
    ['a time before the leaf', { at: -1 }, false],
    ['the time of the leaf', { at: 0 }, false],
  ])('concern a proxy by %s: %o is %s', (_what, request, concerned) => {
    expect(turnAfter(request) !== undefined).toBe(concerned);
  });

  it('have one proxy at once, and many spread over a window', () => {
    expect(turnAfter({ proxy: 'web-1' })).toBe(HOUR);
    const turns = Array.from({ length: 200 }, (_, index) => turnAfter({}, `web-${index}`)! - HOUR);
    const window = renewalWindowMs(24 * HOUR);
    expect(window).toBe(900_000);
    expect(Math.min(...turns)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...turns)).toBeLessThan(window);
    expect(turns.filter((turn) => turn < window / 2).length).toBeGreaterThan(60);
    // The same in every control plane.
    expect(turnAfter({}, 'web-7')).toBe(turnAfter({}, 'web-7'));
  });

  it('are short for short lives', () => {
    expect(renewalWindowMs(20_000)).toBe(5000);
  });

  it('are forgotten after a week, and the same request is kept once', () => {
    const renewals = createRenewals();
    renewals.add({ mesh: 'default', proxy: 'web-1', at: 1 }, 1);
    renewals.add({ mesh: 'default', proxy: 'web-1', at: 5 }, 5);
    expect(renewals.turn(proxy('web-1'), leaf)).toBe(5);
    renewals.add({ mesh: 'default', proxy: 'web-2', at: REQUEST_LIFE_MS + 6 }, REQUEST_LIFE_MS + 6);
    expect(renewals.turn(proxy('web-1'), leaf)).toBeUndefined();
  });
});
