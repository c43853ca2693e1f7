import { describe, expect, it } from 'vitest';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { DataplaneInbound, DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';
import { buildMeshInsight, buildServiceInsight, type InsightView, proxyStatus } from './mesh-insight.ts';

const meta = (name: string) => ({ mesh: 'm', name, labels: {}, creationTime: '', modificationTime: '', version: '' });

function dataplane(name: string, inbound: readonly DataplaneInbound[]): Resource<DataplaneSpec> {
  return { type: 'Dataplane', meta: meta(name), spec: { networking: { address: '10.0.0.1', inbound } } };
}

const online = (backend?: string): InsightView => ({
  subscriptions: [
    { connectTime: '2026-01-01T00:00:00Z', version: { kumaDp: { version: '2.11.18' }, envoy: { version: '1.40.0' } } },
  ],
  ...(backend ? { mTLS: { issuedBackend: backend, supportedBackends: [backend, 'ca-2'] } } : {}),
});

describe('proxyStatus', () => {
  const two = (first: boolean, second: boolean) =>
    dataplane('d', [
      { port: 1, tags: { 'kuma.io/service': 'a' }, health: { ready: first } },
      { port: 2, tags: { 'kuma.io/service': 'b' }, state: second ? 'Ready' : 'NotReady' },
    ]).spec;
  it('is offline without an open subscription', () => {
    expect(proxyStatus(two(true, true), undefined)).toBe('offline');
    expect(proxyStatus(two(true, true), { subscriptions: [{ connectTime: 'x', disconnectTime: 'y' }] })).toBe(
      'offline',
    );
  });
  it('follows the readiness of the inbounds when connected', () => {
    expect(proxyStatus(two(true, true), online())).toBe('online');
    expect(proxyStatus(two(true, false), online())).toBe('partiallyDegraded');
    expect(proxyStatus(two(false, false), online())).toBe('offline');
  });
});

describe('aggregates', () => {
  const a1 = dataplane('a1', [{ port: 1, tags: { 'kuma.io/service': 'a', 'kuma.io/zone': 'east' } }]);
  const a2 = dataplane('a2', [{ port: 1, tags: { 'kuma.io/service': 'a', 'kuma.io/zone': 'west' } }]);
  const snapshot: MeshSnapshot = {
    name: 'm',
    mesh: { type: 'Mesh', meta: { ...meta('m'), mesh: '' }, spec: {} },
    dataplanes: new Map([
      ['a1', a1],
      ['a2', a2],
    ]),
    services: new Map([['a', { name: 'a', protocol: 'tcp', endpoints: [] }]]),
    vips: new Map(),
    policies: new Map(),
  };
  const insights = new Map([['a1', online('ca-1')]]);

  it('counts proxies, versions, backends and resources of a mesh', () => {
    const counts = new Map([
      ['Dataplane', 2],
      ['MeshTrafficPermission', 1],
      ['Secret', 0],
    ]);
    expect(buildMeshInsight(snapshot, insights, counts, new Set(['MeshTrafficPermission']))).toEqual({
      dataplanes: { total: 2, online: 1, offline: 1 },
      dataplanesByType: {
        standard: { total: 2, online: 1, offline: 1 },
        gateway: { total: 0 },
        gatewayBuiltin: { total: 0 },
        gatewayDelegated: { total: 0 },
      },
      policies: { MeshTrafficPermission: { total: 1 } },
      dpVersions: {
        kumaDp: { '2.11.18': { total: 1, online: 1 }, unknown: { total: 1, offline: 1 } },
        envoy: { '1.40.0': { total: 1, online: 1 }, unknown: { total: 1, offline: 1 } },
      },
      mTLS: {
        issuedBackends: { 'ca-1': { total: 1, online: 1 } },
        supportedBackends: { 'ca-1': { total: 1, online: 1 }, 'ca-2': { total: 1, online: 1 } },
      },
      services: { total: 1, internal: 1 },
      resources: { Dataplane: { total: 2 }, MeshTrafficPermission: { total: 1 } },
    });
  });

  it('tells status, backends and zones of a service', () => {
    expect(buildServiceInsight(snapshot, insights)).toEqual({
      services: {
        a: {
          status: 'partially_degraded',
          dataplanes: { total: 2, online: 1, offline: 1 },
          issuedBackends: { 'ca-1': 1 },
          serviceType: 'internal',
          zones: ['east', 'west'],
        },
      },
    });
  });
});
