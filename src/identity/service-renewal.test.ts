import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CaError } from '../ca/backend.ts';
import { IdentityWorld, mtls, wanted } from '../testing/identity-world.ts';
import { leafHistory } from './history.ts';

let world: IdentityWorld;
beforeEach(async () => {
  world = await IdentityWorld.open();
});
afterEach(() => world.service.close());

describe('renewing on request', () => {
  const names = Array.from({ length: 20 }, (_, proxy) => `p-${proxy}`);
  const generations = () => names.map((name) => world.service.state({ mesh: 'default', name }).leaf?.generation ?? 0);
  beforeEach(async () => {
    world.service.setMesh('default', mtls('ca-1'));
    for (const name of names) world.service.want({ mesh: 'default', name }, wanted());
    await world.clock.advance(1000);
  });

  it('has one proxy at once, and tells the former leaf in its history', async () => {
    const serial = world.serialOf('p-3');
    world.service.renew({ mesh: 'default', proxy: 'p-3', at: world.clock.now() });
    await world.clock.advance(100);
    expect(generations().filter((generation) => generation === 2)).toHaveLength(1);
    expect(leafHistory(world.service.state({ mesh: 'default', name: 'p-3' }).leaf)).toMatchObject([
      { generation: 2, reason: 'requested', backend: 'ca-1' },
      { generation: 1, reason: 'none-held', serial },
    ]);
  });

  it('spreads a mesh over a quarter of the life, each proxy once, and those that come later too', async () => {
    world.service.want({ mesh: 'default', name: 'p-0' }, undefined);
    world.service.renew({ mesh: 'default', at: world.clock.now() });
    const steps: number[] = [];
    for (let minute = 0; minute < 15; minute += 1) {
      await world.clock.advance(60_000);
      steps.push(generations().filter((generation) => generation === 2).length);
    }
    expect(steps[0]).toBeLessThan(10);
    expect(generations()).toEqual([1, ...names.slice(1).map(() => 2)]);
    world.service.want({ mesh: 'default', name: 'p-0' }, wanted());
    await world.clock.advance(1000);
    expect(generations()).toEqual(names.map(() => 2));
    expect(world.signings.length).toBe(40);
  });

  it('tries at once what waits after a failure, when asked by name', async () => {
    world.answer = async () => {
      throw new CaError('unavailable', 'connection refused');
    };
    world.service.want({ mesh: 'default', name: 'late' }, wanted());
    await world.clock.advance(100);
    world.answer = world.good;
    world.service.renew({ mesh: 'default', proxy: 'late', at: world.clock.now() });
    await world.clock.advance(100);
    expect(world.service.state({ mesh: 'default', name: 'late' })).toMatchObject({
      failure: undefined,
      leaf: { generation: 1 },
    });
  });

  it('remembers ten leaves of a proxy', async () => {
    for (let round = 0; round < 12; round += 1) {
      world.service.renew({ mesh: 'default', proxy: 'p-1', at: world.clock.now() });
      await world.clock.advance(1000);
    }
    const history = leafHistory(world.service.state({ mesh: 'default', name: 'p-1' }).leaf);
    expect(history.map(({ generation }) => generation)).toEqual([13, 12, 11, 10, 9, 8, 7, 6, 5, 4]);
  });
});
