import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Change, StoreError, type Write } from '../../store/store.ts';
import { dataplaneKey, draft, errorCode, everything } from './drafts.ts';
import { type Replay, replay } from './replay.ts';
import type { StoreWorld } from './world.ts';

/** One write of a generated history. */
interface Step {
  readonly op: Write['op'];
  readonly name: string;
  readonly mesh: string;
  readonly value: number;
}

/** What watchers see, and that closing the store ends them. */
export function watchContract(world: StoreWorld): void {
  const { transactions, commitOrder, freeNames } = world.can;
  describe('watch', () => {
    it('starts with what exists, then synced, then what happens', async () => {
      const made = await world.store.create(draft('web', { value: 1 }));
      const reader = replay(world.watch());
      await reader.until(() => reader.synced() === 1);
      expect(reader.batches.flat()).toEqual([{ op: 'upsert', resource: made }, { op: 'synced' }]);
      const updated = await world.store.update(draft('web', { value: 2 }));
      await reader.until(() => reader.state.get('Dataplane/default/web')?.meta.version === updated.meta.version);
      await world.store.delete(dataplaneKey('web'));
      await reader.until(() => reader.state.size === 0);
      const last = reader.batches.flat().at(-1);
      expect(last).toMatchObject({ op: 'delete', key: dataplaneKey('web') });
      expect(reader.synced()).toBe(1);
    });

    it('says synced at once when nothing exists', async () => {
      const reader = replay(world.watch());
      await reader.until(() => reader.synced() === 1);
      expect(reader.batches).toEqual([[{ op: 'synced' }]]);
    });

    it('shows only the asked types', async () => {
      await world.store.create(draft('web'));
      await world.store.create(draft('east', {}, { type: 'Zone', mesh: '' }));
      const reader = replay(world.watch(['Zone', 'Mesh']));
      await reader.until(() => reader.synced() === 1);
      await world.store.create(draft('api'));
      await world.store.create(draft('default', {}, { type: 'Mesh', mesh: '' }));
      await reader.until(() => reader.state.has('Mesh//default'));
      expect([...reader.state.keys()]).toEqual(['Zone//east', 'Mesh//default']);
    });

    it.skipIf(!transactions)(
      'gives a transaction in one batch, without a key that came and went within it',
      async () => {
        const reader = replay(world.watch());
        await reader.until(() => reader.synced() === 1);
        await world.store.transact([
          { op: 'create', resource: draft('a', { value: 1 }) },
          { op: 'create', resource: draft('gone') },
          { op: 'create', resource: draft('b') },
          { op: 'update', resource: draft('a', { value: 2 }) },
          { op: 'delete', key: dataplaneKey('gone') },
        ]);
        await reader.until(() => reader.state.size === 2);
        const batch = reader.batches.at(-1)!;
        expect(batch.map((one) => one.op === 'upsert' && [one.resource.meta.name, one.resource.spec])).toEqual([
          ['b', { value: 0 }],
          ['a', { value: 2 }],
        ]);
      },
    );

    it('shows nothing of a transaction that failed', async () => {
      const reader = replay(world.watch());
      await reader.until(() => reader.synced() === 1);
      await errorCode(
        world.store.transact([
          { op: 'create', resource: draft('a') },
          { op: 'delete', key: dataplaneKey('missing') },
        ]),
      );
      await world.store.create(draft('b'));
      await reader.until(() => reader.state.size > 0);
      expect([...reader.state.keys()]).toEqual(['Dataplane/default/b']);
    });

    it.skipIf(!commitOrder)('keeps commit order for a fast reader', async () => {
      const reader = replay(world.watch());
      await reader.until(() => reader.synced() === 1);
      const writers = Array.from({ length: 5 }, async (_, writer) => {
        for (let value = 0; value < 20; value += 1) await world.store.create(draft(`w${writer}-${value}`, { value }));
      });
      await Promise.all(writers);
      await reader.until(() => reader.state.size === 100);
      const versions = reader.batches
        .flat()
        .flatMap((one) => (one.op === 'upsert' ? [BigInt(one.resource.meta.version)] : []));
      expect(versions).toEqual(versions.toSorted((a, b) => Number(a - b)));
    });

    it('replays to exactly the final list, for watchers that join at any time, while many write', async () => {
      const step = fc.record({
        op: fc.constantFrom<Step['op']>('put', 'create', 'update', 'delete'),
        name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
        mesh: fc.constantFrom('m1', 'm2'),
        value: fc.nat(),
      });
      const toWrite = ({ op, mesh, value, ...step }: Step): Write => {
        const name = freeNames ? step.name : `${mesh}-${step.name}`;
        return op === 'delete'
          ? { op, key: dataplaneKey(name, mesh) }
          : { op, resource: draft(name, { value }, { mesh }) };
      };
      const writer = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 });
      await fc.assert(
        fc.asyncProperty(fc.array(writer, { minLength: 2, maxLength: 4 }), async (writers) => {
          const done = new AbortController();
          const readers = [replay(world.store.watch({ signal: done.signal }))];
          await Promise.all(
            writers.map(async (transactions) => {
              for (const steps of transactions) {
                await world.store.transact(steps.map(toWrite)).catch((error: unknown) => {
                  if (!(error instanceof StoreError) || error.code === 'unavailable') throw error;
                });
                readers.push(replay(world.store.watch({ signal: done.signal })));
              }
            }),
          );
          const final = await everything(world.store, ['Dataplane']);
          const same = (reader: Replay) =>
            reader.synced() > 0 &&
            reader.state.size === final.size &&
            [...final].every(([key, one]) => reader.state.get(key)?.meta.version === one.meta.version);
          for (const reader of readers) {
            await reader.until(() => same(reader));
            expect(new Map([...reader.state].toSorted())).toEqual(new Map([...final].toSorted()));
          }
          done.abort();
          await Promise.all(readers.map((reader) => reader.ended));
        }),
        { numRuns: 15 },
      );
    });

    it('merges by key for a slow reader, and forgets what came and went unseen', async () => {
      await world.store.create(draft('seen', { value: 0 }));
      const iterator = world.watch()[Symbol.asyncIterator]();
      const first = await iterator.next();
      expect(first.value).toMatchObject([{ op: 'upsert' }, { op: 'synced' }]);
      for (let value = 1; value <= 30; value += 1) {
        await world.store.transact([
          { op: 'put', resource: draft('hot', { value }) },
          { op: 'put', resource: draft(`passing-${value}`) },
        ]);
        await world.store.delete(dataplaneKey(`passing-${value}`));
      }
      await world.store.delete(dataplaneKey('seen'));
      await world.store.create(draft('last'));
      const got = new Map<string, Change>();
      let changes = 0;
      while (!got.has('last')) {
        const { value } = await iterator.next();
        for (const change of (value ?? []) as readonly Change[]) {
          changes += 1;
          if (change.op === 'upsert') got.set(change.resource.meta.name, change);
          if (change.op === 'delete') got.set(change.key.name, change);
        }
      }
      expect(got.get('hot')).toMatchObject({ op: 'upsert', resource: { spec: { value: 30 } } });
      expect(got.get('seen')).toMatchObject({ op: 'delete' });
      // 30 changes of `hot` and 60 of passing keys were merged.
      expect(changes).toBeLessThan(20);
      await iterator.return?.();
    });

    it('ends when its signal aborts, also while waiting, and lets others go on', async () => {
      const one = new AbortController();
      const first = replay(world.store.watch({ signal: one.signal }));
      const second = replay(world.watch());
      await first.until(() => first.synced() === 1);
      await second.until(() => second.synced() === 1);
      one.abort();
      await first.ended;
      await world.store.create(draft('web'));
      await second.until(() => second.state.size === 1);
      expect(first.state.size).toBe(0);
      const late = replay(world.store.watch({ signal: one.signal }));
      await late.ended;
      expect(late.batches).toEqual([]);
    });

    it('may be left by its reader', async () => {
      for await (const batch of world.watch()) {
        expect(batch).toEqual([{ op: 'synced' }]);
        break;
      }
      await world.store.create(draft('web'));
    });
  });

  describe('close', () => {
    it('ends watches, refuses everything after, and may be called twice', async () => {
      const reader = replay(world.watch());
      await reader.until(() => reader.synced() === 1);
      await world.store.close();
      await reader.ended;
      await world.store.close();
      expect(await errorCode(world.store.get(dataplaneKey('web')))).toBe('unavailable');
      expect(await errorCode(world.store.list({ type: 'Dataplane' }))).toBe('unavailable');
      expect(await errorCode(world.store.count())).toBe('unavailable');
      expect(await errorCode(world.store.create(draft('web')))).toBe('unavailable');
      const late = replay(world.watch());
      await late.ended;
    });
  });
}
