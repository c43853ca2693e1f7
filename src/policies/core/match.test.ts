import { describe, expect, it } from 'vitest';
import type { DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import type { Resource } from '../../resources/resource.ts';
import { selectionOf, selectsDataplane, selectsInbound } from './match.ts';
import { comparePolicies, sortPolicies } from './order.ts';
import type { TargetRef } from './target-ref.ts';

type Labels = Record<string, string>;

const policy = (targetRef: TargetRef | undefined, labels: Labels = {}, name = 'p'): Resource => ({
  type: 'MeshTrafficPermission',
  meta: { mesh: 'm', name, labels, creationTime: '', modificationTime: '', version: '' },
  spec: targetRef === undefined ? {} : { targetRef },
});
const dataplane = (
  networking: DataplaneSpec['networking'],
  labels: Labels = {},
  name = 'web-1',
): Resource<DataplaneSpec> => ({
  type: 'Dataplane',
  meta: { mesh: 'm', name, labels, creationTime: '', modificationTime: '', version: '' },
  spec: { networking },
});

const http = { port: 80, name: 'http', tags: { 'kuma.io/service': 'web', version: 'v1' } };
const admin = { port: 81, tags: { 'kuma.io/service': 'web-admin', version: 'v1' } };
const web = (labels: Labels = {}) => dataplane({ address: '10.0.0.1', inbound: [http, admin] }, labels);
const delegated = dataplane({ gateway: { tags: { 'kuma.io/service': 'edge' } } });

describe('selectionOf', () => {
  it.each<[string, TargetRef | undefined, number[]]>([
    ['no targetRef', undefined, [80, 81]],
    ['Mesh', { kind: 'Mesh' }, [80, 81]],
    ['Mesh for sidecars', { kind: 'Mesh', proxyTypes: ['Sidecar'] }, [80, 81]],
    ['Mesh for gateways', { kind: 'Mesh', proxyTypes: ['Gateway'] }, []],
    ['MeshSubset by a tag of one inbound', { kind: 'MeshSubset', tags: { 'kuma.io/service': 'web' } }, [80]],
    ['MeshSubset with a wildcard', { kind: 'MeshSubset', tags: { version: '*' } }, [80, 81]],
    ['MeshSubset by a tag that is not there', { kind: 'MeshSubset', tags: { team: '*' } }, []],
    ['MeshService', { kind: 'MeshService', name: 'web-admin' }, [81]],
    ['MeshServiceSubset', { kind: 'MeshServiceSubset', name: 'web', tags: { version: 'v1' } }, [80]],
    ['MeshServiceSubset of another version', { kind: 'MeshServiceSubset', name: 'web', tags: { version: 'v2' } }, []],
    ['Dataplane, all of them', { kind: 'Dataplane' }, [80, 81]],
    ['Dataplane by name', { kind: 'Dataplane', name: 'web-1' }, [80, 81]],
    ['Dataplane by another name', { kind: 'Dataplane', name: 'web-2' }, []],
    ['Dataplane by labels', { kind: 'Dataplane', labels: { app: 'web' } }, [80, 81]],
    ['Dataplane by other labels', { kind: 'Dataplane', labels: { app: 'api' } }, []],
    ['a section by name', { kind: 'Dataplane', sectionName: 'http' }, [80]],
    ['a section by port', { kind: 'Dataplane', sectionName: '81' }, [81]],
    ['a MeshHTTPRoute', { kind: 'MeshHTTPRoute', name: 'r' }, []],
  ])('%s', (_what, ref, ports) => {
    expect(selectionOf(policy(ref), web({ app: 'web' })).inbounds.map((one) => one.port)).toEqual(ports);
  });

  it('selects a delegated gateway as a whole', () => {
    expect(selectsDataplane(policy({ kind: 'Mesh' }), delegated)).toBe(true);
    expect(selectsDataplane(policy({ kind: 'MeshService', name: 'edge' }), delegated)).toBe(true);
    expect(selectsDataplane(policy({ kind: 'Mesh', proxyTypes: ['Sidecar'] }), delegated)).toBe(false);
  });

  it('tells one inbound from another', () => {
    const ref = policy({ kind: 'MeshService', name: 'web' });
    expect(selectsInbound(ref, web(), http)).toBe(true);
    expect(selectsInbound(ref, web(), admin)).toBe(false);
  });

  it('keeps policies of a zone in it, but for producers', () => {
    const east: Labels = { 'kuma.io/origin': 'zone', 'kuma.io/zone': 'east' };
    const west: Labels = { 'kuma.io/origin': 'zone', 'kuma.io/zone': 'west' };
    expect(selectsDataplane(policy(undefined, east), web(east))).toBe(true);
    expect(selectsDataplane(policy(undefined, east), web(west))).toBe(false);
    expect(selectsDataplane(policy(undefined, { 'kuma.io/origin': 'global' }), web(west))).toBe(true);
    expect(selectsDataplane(policy(undefined, { ...east, 'kuma.io/policy-role': 'producer' }), web(west))).toBe(true);
    expect(selectsDataplane(policy({ kind: 'Dataplane', name: 'web-1' }, { 'kuma.io/zone': 'east' }), web(west))).toBe(
      false,
    );
  });

  it("keeps a workload owner's policies in their namespace", () => {
    const owner: Labels = { 'kuma.io/policy-role': 'workload-owner', 'k8s.kuma.io/namespace': 'shop' };
    expect(selectsDataplane(policy(undefined, owner), web({ 'k8s.kuma.io/namespace': 'shop' }))).toBe(true);
    expect(selectsDataplane(policy(undefined, owner), web({ 'k8s.kuma.io/namespace': 'bank' }))).toBe(false);
    expect(selectsDataplane(policy(undefined, owner), web())).toBe(false);
  });
});

describe('comparePolicies', () => {
  const kinds = [
    'Mesh',
    'Dataplane',
    'MeshSubset',
    'MeshGateway',
    'MeshService',
    'MeshExternalService',
    'MeshMultiZoneService',
    'MeshServiceSubset',
    'MeshHTTPRoute',
  ] as const;

  it('puts the stronger policy last, criterion by criterion', () => {
    const ascending = [
      policy({ kind: 'Mesh' }, {}, 'b'),
      policy({ kind: 'Mesh' }, {}, 'a'),
      policy({ kind: 'Mesh' }, { 'kuma.io/policy-role': 'producer' }, 'c'),
      policy({ kind: 'Mesh' }, { 'kuma.io/policy-role': 'workload-owner' }, 'c'),
      policy({ kind: 'Mesh' }, { 'kuma.io/origin': 'global' }, 'z'),
      policy({ kind: 'Mesh' }, { 'kuma.io/origin': 'zone' }, 'z'),
      policy({ kind: 'Dataplane', labels: { a: 'b' } }, {}, 'a'),
      policy({ kind: 'Dataplane', labels: { a: 'b' }, sectionName: 'http' }, {}, 'a'),
      policy({ kind: 'Dataplane', name: 'x' }, {}, 'z'),
      policy({ kind: 'Dataplane', name: 'x', sectionName: 'http' }, {}, 'z'),
      ...kinds.slice(2).map((kind) => policy({ kind, name: 'x' }, {}, 'z')),
    ];
    for (let turn = 0; turn < ascending.length; turn += 1) {
      const shuffled = [...ascending.slice(turn), ...ascending.slice(0, turn)].reverse();
      expect(sortPolicies(shuffled)).toEqual(ascending);
    }
  });

  it('goes by display name where there is one: the smaller wins', () => {
    const synced = policy(undefined, { 'kuma.io/display-name': 'a' }, 'z-hash');
    expect(comparePolicies(synced, policy(undefined, {}, 'b'))).toBeGreaterThan(0);
  });
});
