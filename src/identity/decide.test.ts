import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import { decide, renewalTime, replacementTime } from './decide.ts';
import { desiredIdentity } from './desired.ts';
import type { DesiredIdentity, HeldLeaf } from './identity.ts';

const HOUR = 3_600_000;
const desired: DesiredIdentity = {
  backend: 'ca-1',
  uriSans: ['spiffe://m/web', 'kuma://kuma.io/service/web'],
  lifetimeMs: 24 * HOUR,
  keyType: 'ec-p256',
};
const leaf: HeldLeaf = {
  chainPem: '',
  keyPem: '',
  serial: '01',
  uriSans: [...desired.uriSans],
  backend: 'ca-1',
  issuer: 'CN=x',
  notBefore: 0,
  notAfter: 24 * HOUR,
  issuedAt: 0,
  renewAt: 18 * HOUR,
  generation: 1,
};

describe('decide', () => {
  it('issues on request from the time on that was drawn for it', () => {
    expect(decide(leaf, desired, { now: HOUR, trusted: true, requestedAt: HOUR })).toEqual({
      action: 'issue',
      reason: 'requested',
    });
    expect(decide(leaf, desired, { now: HOUR, trusted: true, requestedAt: HOUR + 1 })).toEqual({
      action: 'keep',
      until: HOUR + 1,
    });
  });

  it.each([
    ['no leaf yet', undefined, desired, HOUR, true, 'none-held'],
    ['another backend, its own is gone', leaf, { ...desired, backend: 'ca-2' }, HOUR, undefined, 'backend-changed'],
    ['other SANs', leaf, { ...desired, uriSans: ['spiffe://m/api'] }, HOUR, true, 'identity-changed'],
    ['not signed by what its backend announces', leaf, desired, HOUR, false, 'untrusted'],
    ['a shorter life', leaf, { ...desired, lifetimeMs: HOUR }, HOUR, true, 'lifetime-shortened'],
    ['its time has come', leaf, desired, 18 * HOUR, true, 'due'],
  ])('issues: %s', (_what, held, wanted, now, trusted, reason) => {
    expect(decide(held, wanted, { now, trusted })).toEqual({ action: 'issue', reason });
  });
  it.each([
    ['everything is as it was', desired, true],
    ['what signed it is not known yet', desired, undefined],
    ['a longer life, which the next one will have', { ...desired, lifetimeMs: 48 * HOUR }, true],
    ['a deadline that concerns no leaf', { ...desired, requestTimeoutMs: 1000 }, true],
  ])('keeps: %s', (_what, wanted, trusted) => {
    expect(decide(leaf, wanted, { now: HOUR, trusted })).toEqual({ action: 'keep', until: leaf.renewAt });
  });
});

describe('decide, when a CA is replaced', () => {
  const moved = { ...desired, backend: 'ca-2', lifetimeMs: HOUR };

  it('waits for its turn while the leaf of the former backend is trusted', () => {
    const situation = { now: HOUR, trusted: true, replaceAt: 2 * HOUR };
    expect(decide(leaf, moved, situation)).toEqual({ action: 'keep', until: 2 * HOUR });
    expect(decide(leaf, moved, { ...situation, now: 2 * HOUR })).toEqual({
      action: 'issue',
      reason: 'backend-changed',
    });
  });

  it('does not renew a leaf that lives as long as its CA, until it has expired or the CA is another one', () => {
    const atTheEnd = { now: leaf.renewAt, trusted: true, caEndsAt: leaf.notAfter };
    expect(decide(leaf, desired, atTheEnd)).toEqual({ action: 'keep', until: leaf.notAfter });
    expect(decide(leaf, desired, { ...atTheEnd, now: leaf.notAfter })).toEqual({ action: 'issue', reason: 'due' });
    expect(decide(leaf, desired, { ...atTheEnd, caEndsAt: 48 * HOUR })).toEqual({ action: 'issue', reason: 'due' });
    expect(decide(leaf, desired, { ...atTheEnd, replaceAt: leaf.renewAt })).toMatchObject({ reason: 'ca-changed' });
  });

  it('spreads over a second for each proxy, a quarter of the life and a quarter of an hour at the most', () => {
    const last = (life: number, proxies: number) =>
      replacementTime({ ...leaf, notAfter: life, renewAt: life }, 0, 0.999_999, proxies);
    expect(last(24 * HOUR, 2)).toBeCloseTo(2000, -1);
    expect(last(24 * HOUR, 100_000)).toBeCloseTo(900_000, -1);
    expect(last(60_000, 1000)).toBeCloseTo(15_000, -1);
  });
});

it('draws the renewal between 70 and 80 % of the life', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1000, max: 1e11 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (life, random) => {
        const share = (renewalTime(5000, 5000 + life, random) - 5000) / life;
        expect(share).toBeGreaterThanOrEqual(0.699);
        expect(share).toBeLessThanOrEqual(0.801);
      },
    ),
  );
});

describe('desiredIdentity', () => {
  const mesh = (mtls: MeshSpec['mtls']): Resource<MeshSpec> => ({
    type: 'Mesh',
    meta: { mesh: '', name: 'm', labels: {}, creationTime: '', modificationTime: '', version: '' },
    spec: { mtls },
  });
  const on = mesh({ enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] });
  const dataplane = (networking: object) => ({
    type: 'Dataplane',
    meta: { mesh: 'm', name: 'd', labels: {}, creationTime: '', modificationTime: '', version: '' },
    spec: { networking },
  });
  const twoInbounds = dataplane({
    inbound: [
      { port: 1, tags: { 'kuma.io/service': 'web', version: 'v2', 'kuma.io/protocol': 'http' } },
      { port: 2, tags: { 'kuma.io/service': 'admin', version: 'v1' }, state: 'Ignored' },
      { port: 3, tags: { 'kuma.io/service': 'web', version: 'v1' } },
    ],
  });

  it('has a SPIFFE ID per service, then every tag value, sorted', () => {
    expect(desiredIdentity(on, twoInbounds)?.uriSans).toEqual([
      'spiffe://m/admin',
      'spiffe://m/web',
      'kuma://kuma.io/protocol/http',
      'kuma://kuma.io/service/admin',
      'kuma://kuma.io/service/web',
      'kuma://version/v1',
      'kuma://version/v2',
    ]);
  });
  it('takes the tags of a gateway', () => {
    const gateway = dataplane({ gateway: { type: 'DELEGATED', tags: { 'kuma.io/service': 'edge' } } });
    expect(desiredIdentity(on, gateway)?.uriSans).toEqual(['spiffe://m/edge', 'kuma://kuma.io/service/edge']);
  });
  it('is nothing without mTLS, and without a service', () => {
    expect(desiredIdentity(mesh({ backends: [{ name: 'ca-1', type: 'builtin' }] }), twoInbounds)).toBeUndefined();
    expect(desiredIdentity(undefined, twoInbounds)).toBeUndefined();
    expect(desiredIdentity(on, dataplane({ inbound: [{ port: 1, tags: { a: 'b' } }] }))).toBeUndefined();
  });
  it('lives for 24 hours unless the backend says otherwise', () => {
    expect(desiredIdentity(on, twoInbounds)?.lifetimeMs).toBe(24 * HOUR);
    const short = mesh({
      enabledBackend: 'ca-1',
      backends: [
        { name: 'ca-1', type: 'builtin', dpCert: { rotation: { expiration: '20s' }, requestTimeout: '1.5s' } },
      ],
    });
    expect(desiredIdentity(short, twoInbounds)).toMatchObject({ lifetimeMs: 20_000, requestTimeoutMs: 1500 });
  });
});
