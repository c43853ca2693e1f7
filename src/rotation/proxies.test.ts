import { describe, expect, it } from 'vitest';
import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import { rotationProgress } from './progress.ts';
import { rotatingProxies } from './proxies.ts';
import type { Rotation, Sighting } from './rotation.ts';

const CREATED = '2026-01-01T00:00:00Z';
const EXPIRES = '2026-01-02T00:00:00Z';
const dataplane = (name: string, ...services: string[]) => ({
  type: 'Dataplane',
  meta: { mesh: 'm', name, labels: {}, creationTime: CREATED, modificationTime: CREATED, version: '1' },
  spec: { networking: { inbound: services.map((service) => ({ port: 1, tags: { 'kuma.io/service': service } })) } },
});
const online = { subscriptions: [{ connectTime: CREATED }] };
const offline = { subscriptions: [{ connectTime: CREATED, disconnectTime: EXPIRES }] };
const see = (insight?: DataplaneInsightSpec) =>
  rotatingProxies([dataplane('web-1', 'web')], new Map(insight === undefined ? [] : [['web-1', insight]]))[0];

describe('a proxy in a rotation', () => {
  it('is what it has acknowledged, not what it was given', () => {
    const certificate = { serial: '1', backend: 'ca-1', root: 'aa', notAfter: EXPIRES };
    const weft = { acknowledged: { roots: ['aa', 'bb'], certificate } };
    expect(see({ ...online, mTLS: { issuedBackend: 'ca-2' }, weft })).toEqual({
      name: 'web-1',
      services: ['web'],
      connected: true,
      trusts: new Set(['aa', 'bb']),
      leaf: { backend: 'ca-1', root: 'aa', notAfter: Date.parse(EXPIRES) },
      problem: undefined,
    });
    expect(
      see({ ...online, mTLS: { issuedBackend: 'ca-2', certificateExpirationTime: EXPIRES } })?.leaf,
    ).toBeUndefined();
  });

  it('that is away is taken to present what it was given, when nothing else is known', () => {
    const insight = { ...offline, mTLS: { issuedBackend: 'ca-1', certificateExpirationTime: EXPIRES } };
    expect(see(insight)).toMatchObject({ connected: false, leaf: { backend: 'ca-1', root: '' } });
  });

  it('says what is in its way', () => {
    const rejections = [
      { type: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret', message: 'bad key' },
    ];
    expect(see({ ...online, weft: { rejections } })?.problem).toBe('it refuses its certificates: bad key');
    expect(see({ ...online, weft: { issuanceFailure: { message: 'no' } } })?.problem).toBe('no');
  });

  it('of which nothing was heard is as old as its Dataplane; without a service it takes no part', () => {
    expect(see()).toMatchObject({ connected: false, unheardSince: Date.parse(CREATED) });
    expect(rotatingProxies([dataplane('idle')], new Map())).toEqual([]);
  });
});

it('counts a proxy once in all, and in each of its services', () => {
  const proxies = rotatingProxies(
    [dataplane('web-1', 'web', 'admin'), dataplane('web-2', 'web')],
    new Map([
      ['web-1', { ...online, weft: { acknowledged: { roots: ['old', 'new'] } } }],
      ['web-2', { ...offline, mTLS: { issuedBackend: 'ca-1', certificateExpirationTime: EXPIRES } }],
    ]),
  );
  const seen: Sighting = {
    now: Date.parse(CREATED),
    issuing: 'old',
    otherKept: true,
    newRoots: new Set(['new']),
    oldRoots: new Set(['old']),
    problem: undefined,
    proxies,
  };
  const rotation = { from: 'ca-1', to: 'ca-2', phase: 'Trusting' } as Rotation;
  const one = { proxies: 1, connected: 1, offline: 0, trusting: 1, renewed: 0 };
  const both = { ...one, proxies: 2, offline: 1 };
  expect(rotationProgress(rotation, seen)).toEqual({
    total: both,
    services: [
      { service: 'admin', ...one },
      { service: 'web', ...both },
    ],
  });
});
