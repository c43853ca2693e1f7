import { beforeEach, describe, expect, it } from 'vitest';
import type { PendingRecord } from '../ca/backend.ts';
import { silentLogger } from '../lib/log.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { ResourceStore } from '../store/store.ts';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { createPendingLeaves } from './pending-leaves.ts';

describe('certificates under way', () => {
  let store: ResourceStore;
  let clock: DrivenClock;
  let writes: number;
  let broken: boolean;
  const record = (change: Partial<PendingRecord> = {}): PendingRecord => ({
    mesh: 'default',
    proxy: 'web-1',
    backend: 'acm-1',
    sealedKey: 'AAAA',
    request: { csr: 'BBBB', askedAt: 1 },
    until: clock.now() + 60_000,
    ...change,
  });
  const open = () => createPendingLeaves({ store, clock, log: silentLogger });

  beforeEach(() => {
    clock = createDrivenClock();
    writes = 0;
    broken = false;
    const memory = createMemoryStore({ clock });
    store = {
      ...memory,
      async transact(all) {
        if (broken) throw new Error('the store is away');
        writes += 1;
        return memory.transact(all);
      },
    };
  });

  it('are found at once, and by the next process', async () => {
    const leaves = open();
    leaves.save(record());
    expect(await leaves.find('default', 'web-1')).toEqual(record());
    await leaves.close();
    expect(await open().find('default', 'web-1')).toEqual(record());
    expect(await open().find('default', 'web-2')).toBeUndefined();
  });

  it('are written many at a time, the newest of each proxy', async () => {
    const leaves = open();
    for (let count = 0; count < 50; count += 1) leaves.save(record({ proxy: `web-${count % 10}`, request: count }));
    await clock.advance(100);
    expect(writes).toBe(1);
    expect(await open().find('default', 'web-3')).toMatchObject({ request: 43 });
  });

  it('that came at once are never written', async () => {
    const leaves = open();
    leaves.save(record());
    leaves.remove('default', 'web-1');
    await leaves.close();
    expect(writes).toBe(0);
  });

  it('that came leave nothing behind, also when their Dataplane took the record with it', async () => {
    const leaves = open();
    leaves.save(record());
    leaves.save(record({ proxy: 'web-2' }));
    await clock.advance(100);
    await store.delete({ type: 'PendingLeaf', mesh: 'default', name: 'web-1' });
    leaves.remove('default', 'web-1');
    leaves.remove('default', 'web-2');
    await clock.advance(100);
    expect((await store.list({ type: 'PendingLeaf' })).total).toBe(0);
    expect(await leaves.find('default', 'web-2')).toBeUndefined();
  });

  it('are written later when the store is away', async () => {
    const leaves = open();
    broken = true;
    leaves.save(record());
    await clock.advance(100);
    broken = false;
    await clock.advance(2000);
    expect(await open().find('default', 'web-1')).toBeDefined();
  });

  it('whose time is over are swept at the start', async () => {
    const leaves = open();
    leaves.save(record());
    leaves.save(record({ proxy: 'web-2', until: clock.now() + 600_000 }));
    await leaves.close();
    clock.step(120_000);
    await open().close();
    const { items } = await store.list({ type: 'PendingLeaf' });
    expect(items.map(({ meta }) => meta.name)).toEqual(['web-2']);
  });
});
