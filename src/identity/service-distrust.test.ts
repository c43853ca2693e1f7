import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CaBackendKind } from '../ca/backend.ts';
import { builtinCa } from '../ca/builtin.ts';
import { createCaDependencies } from '../testing/ca-contract.ts';
import { IdentityWorld, WEB, wanted } from '../testing/identity-world.ts';
import { type MeshDistrust, NO_DISTRUST } from './distrust.ts';

let world: IdentityWorld;
beforeEach(async () => {
  world = await IdentityWorld.open();
});
afterEach(() => world.service.close());

describe('distrust', () => {
  const builtin = (...names: string[]) => ({
    enabledBackend: names[0]!,
    backends: names.map((name) => ({ name, type: 'builtin' })),
  });

  /** Two proxies with leaves of the first of two builtin CAs. */
  async function twoCas(kinds: readonly CaBackendKind[] = [builtinCa], names = ['ca-1', 'ca-2']) {
    await world.service.close();
    world.deps = createCaDependencies({ now: () => world.clock.now() });
    for (const name of names) await builtinCa.ensure!({ mesh: 'default', name, type: 'builtin', conf: {} }, world.deps);
    world.service = world.createService(kinds);
    world.service.setMesh('default', builtin(...names));
    for (const name of ['web-1', 'api-1']) {
      const uriSans = [`spiffe://default/${name.slice(0, 3)}`, `kuma://kuma.io/service/${name.slice(0, 3)}`];
      world.service.want({ mesh: 'default', name }, wanted({ uriSans }));
    }
    await settled(() => world.serialOf('web-1') !== undefined && world.serialOf('api-1') !== undefined);
  }
  /** Real signatures take real time. */
  const settled = async (good: () => boolean) => {
    for (let turn = 0; turn < 500 && !good(); turn += 1) {
      await world.clock.advance(10);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(good()).toBe(true);
  };
  const revoke = (serial: string, epoch = 1): MeshDistrust => ({
    ...NO_DISTRUST,
    epoch,
    leaves: [{ serial, backend: 'ca-1', at: world.clock.now() }],
  });

  it('of a leaf: its proxy gets another one, and every CA has a CRL', async () => {
    await twoCas();
    const [web, api] = [world.serialOf('web-1')!, world.serialOf('api-1')!];
    expect(await world.service.notRevocable('default')).toBeUndefined();
    world.service.setDistrust('default', revoke(web));
    await settled(() => world.serialOf('web-1') !== web && world.service.bundle('default')?.crlPem !== undefined);
    expect(world.serialOf('api-1')).toBe(api);
    const bundle = world.service.bundle('default')!;
    expect(bundle.crlPem!.match(/BEGIN X509 CRL/g)).toHaveLength(2);
    expect(bundle).toMatchObject({ distrustEpoch: 1, backends: ['ca-1', 'ca-2'] });
    expect(world.leafEvents().at(-1)).toMatchObject({ reason: 'distrusted', proxy: WEB });
    // The same again is no news.
    const { length } = world.events;
    world.service.setDistrust('default', { ...world.service.distrust('default') });
    await world.clock.advance(1000);
    expect([world.events.length, world.service.bundle('default')]).toEqual([length, bundle]);
    // Lifted: no CRL, and no proxy is asked to end connections again.
    world.service.setDistrust('default', { ...NO_DISTRUST, epoch: 1 });
    await settled(() => world.service.bundle('default')?.crlPem === undefined);
    expect(world.service.bundle('default')?.distrustEpoch).toBe(1);
  });

  it('of a leaf, where a listed CA has no key here: another leaf, and no CRL that would refuse good ones', async () => {
    await twoCas([
      {
        ...builtinCa,
        open: (config, given) => ({
          ...builtinCa.open(config, given),
          ...(config.name === 'ca-2' ? { crl: undefined as never } : {}),
        }),
      },
    ]);
    const web = world.serialOf('web-1')!;
    expect(await world.service.notRevocable('default')).toContain('backend "ca-2" does not sign CRLs');
    world.service.setDistrust('default', revoke(web));
    await settled(() => world.serialOf('web-1') !== web && world.service.bundle('default')?.distrustEpoch === 1);
    expect(world.service.bundle('default')!.crlPem).toBeUndefined();
  });

  it('of a backend: its CA leaves the bundle, and leaves that still stand on it are replaced at once', async () => {
    await twoCas();
    const web = world.serialOf('web-1')!;
    const both = world.service.bundle('default')!.pem;
    world.service.setMesh('default', { ...builtin('ca-1', 'ca-2'), enabledBackend: 'ca-2' });
    for (const name of ['web-1', 'api-1']) {
      const { desired } = world.service.state({ mesh: 'default', name });
      world.service.want({ mesh: 'default', name }, { ...desired!, backend: 'ca-2' });
    }
    world.service.setDistrust('default', { ...NO_DISTRUST, epoch: 1, backends: ['ca-1'] });
    await settled(() => world.serialOf('web-1') !== web && world.service.bundle('default')?.backends.join() === 'ca-2');
    expect(both.length).toBeGreaterThan(world.service.bundle('default')!.pem.length);
    expect(world.service.state(WEB).leaf?.backend).toBe('ca-2');
  });
});
