import { beforeEach, describe, expect, it } from 'vitest';
import type { MeshDistrust } from '../identity/distrust.ts';
import type { HeldLeaf } from '../identity/identity.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { DistrustSource } from '../rest/distrust-source.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { ResourceStore } from '../store/store.ts';
import { eventually } from '../testing/envoy.ts';
import { createDistrustSource, loadDistrust, watchDistrust } from './distrust.ts';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-26T12:00:00Z');
const iso = (at: number) => new Date(at).toISOString();

const mesh: Resource<MeshSpec> = {
  type: 'Mesh',
  meta: { mesh: '', name: 'm', labels: {}, creationTime: '', modificationTime: '', version: '' },
  spec: {
    mtls: {
      enabledBackend: 'ca-1',
      backends: [
        { name: 'ca-1', type: 'builtin' },
        { name: 'ca-2', type: 'builtin' },
      ],
    },
  },
};

const issued = (serial: string, notAfter: number) => ({ serial, backend: 'ca-1', notAfter });
const leaves = [
  {
    proxy: { mesh: 'm', name: 'web-1' },
    leaf: {
      ...issued('0a', NOW + 3 * HOUR),
      uriSans: ['spiffe://m/web'],
      former: [issued('0b', NOW + HOUR), issued('0c', NOW - 1)],
    } as unknown as HeldLeaf,
  },
  {
    proxy: { mesh: 'm', name: 'api-1' },
    leaf: { ...issued('0d', NOW + HOUR), uriSans: ['spiffe://m/api'] } as unknown as HeldLeaf,
  },
];

describe('distrust', () => {
  let store: ResourceStore;
  let now: number;
  let why: string | undefined;
  let told: Map<string, MeshDistrust>;
  let source: DistrustSource;
  const identity = {
    leaves: () => leaves,
    notRevocable: async () => why,
    setDistrust: (name: string, distrust: MeshDistrust) => void told.set(name, distrust),
  };
  const add = (kind: 'leaf' | 'service' | 'backend', name: string) =>
    source.add(mesh, { kind, name, by: 'me', reason: 'r' });

  beforeEach(() => {
    store = createMemoryStore({ clock: systemClock });
    now = NOW;
    why = undefined;
    told = new Map();
    source = createDistrustSource({ store, identity, now: () => now });
  });

  it('of a service takes in the certificates before those in use, as long as they are valid', async () => {
    const added = await add('service', 'web');
    expect(added).toMatchObject({
      effect: { kind: 'revoked' },
      entry: { kind: 'service', name: 'web', by: 'me', reason: 'r', at: iso(NOW), until: iso(NOW + 3 * HOUR) },
    });
    expect(told.get('m')).toEqual({
      epoch: 1,
      leaves: [
        { serial: '0a', backend: 'ca-1', at: NOW },
        { serial: '0b', backend: 'ca-1', at: NOW },
      ],
      services: [{ service: 'web', before: NOW }],
      backends: [],
      denied: [],
    });
  });

  it('of a leaf finds one that was renewed meanwhile, and ends with it', async () => {
    expect(await add('leaf', '0b')).toMatchObject({
      entry: { certificates: [{ serial: '0b', proxy: 'web-1' }], until: iso(NOW + HOUR) },
    });
    now = NOW + HOUR;
    expect(await source.list('m')).toEqual([]);
    await add('leaf', '0a');
    expect(told.get('m')).toMatchObject({ epoch: 2, leaves: [{ serial: '0a' }] });
  });

  it('says what it can not do where nothing can be revoked', async () => {
    why = 'backend "ca-2" has no key';
    expect(await add('leaf', '0a')).toMatchObject({ effect: { kind: 'replaced-only', why } });
    const denied = await add('service', 'web');
    expect(denied).toMatchObject({ effect: { kind: 'denied', why }, entry: { denied: true } });
    expect(denied).not.toHaveProperty('entry.until');
    expect(told.get('m')).toMatchObject({ epoch: 2, denied: ['web'] });
    expect((await source.list('m')).map(({ effect }) => effect.kind)).toEqual(['replaced-only', 'denied']);
  });

  it.each([
    ['backend', 'ca-1', 'backend', 'weft ca rotate --to OTHER --mesh m'],
    ['backend', 'nope', 'backend', 'only ca-1, ca-2'],
    ['leaf', 'ff', 'serial', 'weft certs list'],
    ['leaf', '0c', 'serial', 'still valid'],
    ['service', 'nope', 'service', 'no proxy of mesh m'],
  ] as const)('refuses %s %s, and says why', async (kind, name, field, text) => {
    expect(await add(kind, name)).toEqual([{ field, message: expect.stringContaining(text) }]);
    expect(told.size).toBe(0);
  });

  it('is lifted without going back to an earlier epoch', async () => {
    await add('backend', 'ca-2');
    expect(told.get('m')).toMatchObject({ epoch: 1, backends: ['ca-2'] });
    expect(await source.lift('m', 'backend', 'ca-2')).toBe(true);
    expect(await source.lift('m', 'backend', 'ca-2')).toBe(false);
    expect(told.get('m')).toEqual({ epoch: 1, leaves: [], services: [], backends: [], denied: [] });
  });

  it('loses nothing when two control planes write at once', async () => {
    await Promise.all([add('leaf', '0a'), add('leaf', '0d'), add('backend', 'ca-2')]);
    expect((await source.list('m')).map(({ entry }) => entry.name).sort()).toEqual(['0a', '0d', 'ca-2']);
  });

  it('is known to a control plane that starts, and to one that runs', async () => {
    await add('leaf', '0a');
    const there = new Map<string, MeshDistrust>();
    const other = {
      ...identity,
      setDistrust: (name: string, distrust: MeshDistrust) => void there.set(name, distrust),
    };
    await loadDistrust(store, other);
    expect(there).toEqual(told);
    const stop = new AbortController();
    const watching = watchDistrust({
      store,
      identity: other,
      clock: systemClock,
      log: silentLogger,
      signal: stop.signal,
    });
    await add('backend', 'ca-2');
    await eventually('it hears of it', () => there.get('m')?.epoch === 2);
    expect(there).toEqual(told);
    // The mesh is gone with all that belongs to it: one of the same name begins anew.
    await store.delete({ type: 'MeshDistrust', mesh: 'm', name: 'm' });
    await eventually('it forgets', () => there.get('m')?.epoch === 0);
    stop.abort();
    await watching;
  });
});
