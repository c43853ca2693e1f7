import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Resource } from '../resources/resource.ts';
import { anyMesh } from '../testing/random-mesh.ts';
import { resourceOf } from '../testing/sidecar-cases.ts';
import { buildSnapshot, type SnapshotChange } from './build.ts';
import { commonProtocol, parseProtocol } from './protocol.ts';
import type { MeshSnapshot } from './snapshot.ts';

const upsert = (resource: Resource): SnapshotChange => ({ op: 'upsert', resource });
const remove = ({ type, meta }: Resource): SnapshotChange => ({
  op: 'delete',
  key: { type, mesh: meta.mesh, name: meta.name },
});

const mesh = resourceOf({ type: 'Mesh', name: 'default' });
const dataplane = (name: string, service: string, address: string, inbound: Record<string, unknown> = {}) =>
  resourceOf({
    type: 'Dataplane',
    mesh: 'default',
    name,
    networking: { address, inbound: [{ port: 80, tags: { 'kuma.io/service': service }, ...inbound }] },
  });
const build = (previous: MeshSnapshot | undefined, ...changes: SnapshotChange[]) =>
  buildSnapshot(previous, 'default', changes);

const web1 = dataplane('web-1', 'web', '10.0.0.1');
const web2 = dataplane('web-2', 'web', '10.0.0.2');
const api1 = dataplane('api-1', 'api', '10.0.0.3');
const base = build(undefined, upsert(mesh), upsert(web2), upsert(web1), upsert(api1), { op: 'synced' }).snapshot;

describe('buildSnapshot', () => {
  test('collects endpoints by service, sorted by address', () => {
    expect(
      base.services.get('web')?.endpoints.map(({ address, port, dataplane }) => [address, port, dataplane]),
    ).toEqual([
      ['10.0.0.1', 80, 'web-1'],
      ['10.0.0.2', 80, 'web-2'],
    ]);
    expect([...base.services.keys()].sort()).toEqual(['api', 'web']);
  });

  test('is the former snapshot when a write changes only version and times', () => {
    const again = {
      ...structuredClone(web1),
      meta: { ...web1.meta, version: '9', modificationTime: '2027-01-01T00:00:00Z' },
    };
    const update = build(
      base,
      upsert(again),
      upsert({ ...structuredClone(mesh), meta: { ...mesh.meta, version: '9' } }),
    );
    expect(update.snapshot).toBe(base);
    expect(update).toMatchObject({ changedServices: new Set(), meshChanged: false, policiesChanged: false });
  });

  test('keeps the spec and all services when only labels change', () => {
    const labelled = { ...structuredClone(web1), meta: { ...web1.meta, labels: { team: 'a' } } };
    const { snapshot, changedServices } = build(base, upsert(labelled));
    expect(snapshot.services).toBe(base.services);
    expect(snapshot.dataplanes.get('web-1')?.spec).toBe(base.dataplanes.get('web-1')?.spec);
    expect(snapshot.dataplanes.get('web-1')?.meta.labels).toEqual({ team: 'a' });
    expect(changedServices).toEqual(new Set());
  });

  test('changes one service and, in it, one endpoint', () => {
    const moved = dataplane('web-1', 'web', '10.0.0.9');
    const { snapshot, changedServices } = build(base, upsert(moved));
    expect(changedServices).toEqual(new Set(['web']));
    expect(snapshot.services.get('api')).toBe(base.services.get('api'));
    expect(snapshot.services.get('web')?.endpoints[0]).toBe(base.services.get('web')?.endpoints[1]);
    expect(snapshot.services.get('web')?.endpoints[1]?.address).toBe('10.0.0.9');
    expect(snapshot.policies).toBe(base.policies);
  });

  test('says which services a Dataplane left and joined', () => {
    const { snapshot, changedServices } = build(base, upsert(dataplane('api-1', 'shop', '10.0.0.3')));
    expect(changedServices).toEqual(new Set(['api', 'shop']));
    expect(snapshot.services.has('api')).toBe(false);
  });

  test('counts only the last of several changes of one resource', () => {
    expect(build(base, remove(web1), upsert(web1)).snapshot).toBe(base);
    expect(build(base, upsert(dataplane('new', 'x', '10.0.0.7')), remove(dataplane('new', 'x', ''))).snapshot).toBe(
      base,
    );
  });

  test('forgets the Mesh but keeps its Dataplanes', () => {
    const { snapshot, meshChanged } = build(base, remove(mesh));
    expect(meshChanged).toBe(true);
    expect(snapshot.mesh).toBeUndefined();
    expect(snapshot.dataplanes).toBe(base.dataplanes);
  });

  test('sorts policies by name and keeps those that did not change', () => {
    const policy = (name: string, action: string) =>
      resourceOf({
        type: 'MeshTrafficPermission',
        mesh: 'default',
        name,
        spec: { from: [{ targetRef: { kind: 'Mesh' }, default: { action } }] },
      });
    const first = build(base, upsert(policy('b', 'Allow')), upsert(policy('a', 'Deny')));
    expect(first.policiesChanged).toBe(true);
    const list = first.snapshot.policies.get('MeshTrafficPermission')!;
    expect(list.map(({ meta }) => meta.name)).toEqual(['a', 'b']);
    const second = build(first.snapshot, upsert(policy('b', 'Deny')), upsert(policy('a', 'Deny'))).snapshot;
    expect(second.policies.get('MeshTrafficPermission')?.[0]).toBe(list[0]);
    expect(build(second, remove(policy('a', '')), remove(policy('b', ''))).snapshot.policies.size).toBe(0);
  });

  test.each([
    ['no state', {}, true],
    ['Ready', { state: 'Ready' }, true],
    ['NotReady', { state: 'NotReady' }, false],
    ['older health', { health: { ready: false } }, false],
    ['older health without a value', { health: {} }, false],
    ['Ready with older health', { state: 'Ready', health: { ready: true } }, true],
  ])('tells health: %s', (_name, inbound, healthy) => {
    const { snapshot } = build(undefined, upsert(dataplane('d', 's', '10.0.0.1', inbound)));
    expect(snapshot.services.get('s')?.endpoints[0]?.healthy).toBe(healthy);
  });

  test('leaves Ignored inbounds and the port that stands for "no service" out', () => {
    const { snapshot } = build(
      undefined,
      upsert(dataplane('a', 's', '10.0.0.1', { state: 'Ignored' })),
      upsert(dataplane('b', 's', '10.0.0.2', { port: 49_151 })),
    );
    expect(snapshot.services.size).toBe(0);
  });

  test('any way of getting there gives the same snapshot', () => {
    fc.assert(
      fc.property(anyMesh(), anyMesh(), fc.array(fc.nat()), (before, after, order) => {
        const start = build(undefined, ...before.resources.map(upsert)).snapshot;
        const gone = before.resources.filter(
          ({ type, meta }) => !after.resources.some((one) => one.type === type && one.meta.name === meta.name),
        );
        const changes = [...gone.map(remove), ...after.resources.map(upsert)];
        for (const [index, at] of order.entries()) {
          const [change] = changes.splice(at % changes.length, 1);
          changes.splice(index % (changes.length + 1), 0, change!);
        }
        const atOnce = build(start, ...changes).snapshot;
        const oneByOne = changes.reduce((snapshot, change) => build(snapshot, change).snapshot, start);
        const fresh = build(undefined, ...after.resources.map(upsert)).snapshot;
        expect(plain(atOnce)).toEqual(plain(fresh));
        expect(plain(oneByOne)).toEqual(plain(fresh));
      }),
      { numRuns: 100 },
    );
  });
});

/** A snapshot's content, whatever the order in its maps. */
function plain(snapshot: MeshSnapshot): unknown {
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...snapshot,
    dataplanes: sorted(snapshot.dataplanes),
    services: sorted(snapshot.services),
    policies: sorted(snapshot.policies),
  };
}

describe('protocols', () => {
  test.each([
    [['http', 'http'], 'http'],
    [['grpc', 'http2'], 'http2'],
    [['http', 'http2'], 'tcp'],
    [['kafka', 'tcp'], 'tcp'],
    [[], 'tcp'],
  ] as const)('%j have %s in common', (protocols, expected) => {
    expect(commonProtocol(protocols)).toBe(expected);
  });

  test('a tag is read in any case, an unknown one is TCP', () => {
    expect(parseProtocol('HTTP2')).toBe('http2');
    expect(parseProtocol('__proto__')).toBe('tcp');
    expect(parseProtocol(undefined)).toBe('tcp');
  });
});
