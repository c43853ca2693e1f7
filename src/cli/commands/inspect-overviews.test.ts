import { describe, expect, it } from 'vitest';
import { dataplaneStatus, OVERVIEWS } from './inspect-overviews.ts';

const inbound = (extra = {}) => ({ port: 80, tags: { 'kuma.io/service': 'web' }, ...extra });
const overview = (inbounds: readonly object[], subscriptions: readonly object[], networking = {}) => ({
  mesh: 'default',
  name: 'web-1',
  dataplane: { networking: { address: '10.0.0.1', inbound: inbounds, ...networking } },
  dataplaneInsight: { subscriptions },
});
const connected = { connectTime: '2026-01-01T00:00:00Z' };
const gone = { ...connected, disconnectTime: '2026-01-01T00:01:00Z' };

describe('dataplaneStatus', () => {
  it('is online while one subscription is open', () => {
    expect(dataplaneStatus(overview([inbound()], [gone, connected])).status).toBe('Online');
    expect(dataplaneStatus(overview([inbound()], [gone])).status).toBe('Offline');
    expect(dataplaneStatus(overview([inbound()], [])).status).toBe('Offline');
  });

  it('tells which inbounds are not ready', () => {
    const partly = dataplaneStatus(overview([inbound(), inbound({ port: 81, state: 'NotReady' })], [connected]));
    expect(partly).toEqual({ status: 'Partially degraded', notes: ['inbound[port=81,svc=web] is not ready'] });
    const none = dataplaneStatus(overview([inbound({ health: { ready: false } })], [connected]));
    expect(none.status).toBe('Offline');
  });

  it('asks nothing of the inbounds of a gateway', () => {
    expect(dataplaneStatus(overview([], [connected], { gateway: { tags: {} } })).status).toBe('Online');
  });
});

describe('headers', () => {
  it('are the columns of kumactl, and the CA backend of a mesh', () => {
    expect(OVERVIEWS['meshes']?.headers).toEqual([
      'MESH',
      'DATAPLANES',
      'TRAFFIC PERMISSIONS',
      'TRAFFIC ROUTES',
      'CIRCUIT BREAKERS',
      'HEALTH CHECKS',
      'FAULT INJECTIONS',
      'EXTERNAL SERVICES',
      'TRAFFIC TRACES',
      'TRAFFIC LOGS',
      'PROXY TEMPLATES',
      'RATE LIMITS',
      'CA BACKEND',
    ]);
    expect(OVERVIEWS['zones']?.headers.slice(-2)).toEqual(['ZONE-CP VERSION', 'BACKEND']);
  });
});

describe('rows', () => {
  it('show a proxy that never connected', () => {
    const row = OVERVIEWS['dataplanes']!.row({ mesh: 'default', name: 'a', dataplane: {} }, 0);
    expect(row).toEqual([
      'default',
      'a',
      '',
      'Offline',
      'never',
      'never',
      '0',
      '0',
      'never',
      '-',
      '0',
      '-',
      '',
      '',
      '',
      '-',
      '',
    ]);
  });
});
