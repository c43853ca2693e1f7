import { describe, expect, it } from 'vitest';
import { keyOf } from '../../resources/resource.ts';
import type { Write } from '../../store/store.ts';
import { dataplaneKey, draft, errorCode, everything } from './drafts.ts';
import type { StoreWorld } from './world.ts';

/** Several writes as one. */
export function transactionsContract(world: StoreWorld): void {
  const { transactions } = world.can;
  describe('transactions', () => {
    it('does everything in order and returns what was written', async () => {
      await world.store.create(draft('old'));
      const written = await world.store.transact([
        { op: 'create', resource: draft('a', { value: 1 }) },
        { op: 'update', resource: draft('a', { value: 2 }) },
        { op: 'delete', key: dataplaneKey('old') },
        { op: 'put', resource: draft('b', { value: 3 }) },
        { op: 'create', resource: draft('old', { value: 4 }) },
      ]);
      expect(written.map((one) => [one.meta.name, one.spec])).toEqual([
        ['a', { value: transactions ? 1 : 2 }],
        ['a', { value: 2 }],
        ['b', { value: 3 }],
        ['old', { value: 4 }],
      ]);
      const versions = written.map((one) => BigInt(one.meta.version));
      if (transactions) {
        expect(versions).toEqual(versions.toSorted((a, b) => Number(a - b)));
        expect(new Set(versions).size).toBe(4);
      }
      expect((await world.store.get(dataplaneKey('a')))?.spec).toEqual({ value: 2 });
      expect((await world.store.get(dataplaneKey('old')))?.spec).toEqual({ value: 4 });
    });

    it('does nothing when one write may not be', async () => {
      const kept = await world.store.create(draft('kept', { value: 1 }));
      const before = await everything(world.store, ['Dataplane']);
      const bad: readonly [Write, string][] = [
        [{ op: 'create', resource: draft('kept') }, 'already-exists'],
        [{ op: 'create', resource: draft('new-1') }, 'already-exists'],
        [{ op: 'update', resource: draft('missing') }, 'not-found'],
        [{ op: 'update', resource: draft('kept'), version: '999999' }, 'conflict'],
        [{ op: 'delete', key: dataplaneKey('missing') }, 'not-found'],
        [{ op: 'delete', key: dataplaneKey('kept'), version: '999999' }, 'conflict'],
      ];
      for (const [write, code] of bad) {
        const work = world.store.transact([
          { op: 'create', resource: draft('new-1') },
          { op: 'put', resource: draft('kept', { value: 2 }) },
          write,
          { op: 'create', resource: draft('new-2') },
        ]);
        expect(await errorCode(work)).toBe(code);
      }
      expect(await everything(world.store, ['Dataplane'])).toEqual(before);
      expect(await world.store.get(dataplaneKey('kept'))).toEqual(kept);
    });

    it('puts whether or not it is there', async () => {
      const [made] = await world.store.transact([{ op: 'put', resource: draft('web', { value: 1 }) }]);
      world.clock.set(Date.UTC(2026, 0, 2));
      const [replaced] = await world.store.transact([{ op: 'put', resource: draft('web', { value: 2 }) }]);
      expect(replaced?.meta.creationTime).toBe(made?.meta.creationTime);
      expect(replaced?.meta.modificationTime).toEqual(world.time('2026-01-02T00:00:00.000Z'));
      expect(await world.store.transact([])).toEqual([]);
    });

    it(`takes ${transactions ? 'thousands' : 'hundreds'} of writes at once`, async () => {
      const length = transactions ? 3000 : 300;
      const drafts = Array.from({ length }, (_, index) => draft(`dp-${index}`, { value: index }));
      await world.store.transact(drafts.map((resource) => ({ op: 'put', resource })));
      expect((await world.store.list({ type: 'Dataplane', size: 1 })).total).toBe(length);
      await world.store.transact(drafts.slice(1).map((resource) => ({ op: 'delete', key: keyOf(resource) })));
      expect(await world.store.count()).toEqual(new Map([['Dataplane', 1]]));
    });

    it.skipIf(!transactions)('shows a transaction wholly or not at all to a reader', async () => {
      await world.store.transact([
        { op: 'put', resource: draft('a', { value: 0 }) },
        { op: 'put', resource: draft('b', { value: 0 }) },
      ]);
      let writing = true;
      const writer = (async () => {
        for (let value = 1; value <= 50; value += 1) {
          await world.store.transact([
            { op: 'put', resource: draft('a', { value }) },
            { op: 'put', resource: draft('b', { value }) },
          ]);
        }
        writing = false;
      })();
      while (writing) {
        const [a, b] = (await world.store.list({ type: 'Dataplane' })).items;
        expect(a?.spec).toEqual(b?.spec);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await writer;
    });
  });
}
