import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createPostgresStore } from '../../src/store/postgres/store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { missingPostgres, type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts';
import { dataplaneKey, draft, errorCode, everything } from '../../src/testing/store-contract/drafts.ts';
import { replay } from '../../src/testing/store-contract/replay.ts';
import { storeContract } from '../../src/testing/store-contract.ts';

const missing = missingPostgres();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

describe.skipIf(missing !== undefined)(`postgres${missing === undefined ? '' : ` (${missing})`}`, () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres();
  });

  afterAll(() => server?.close());

  const open = (database: string, clock: Clock = systemClock) => {
    const { host, port, user, password } = server;
    return createPostgresStore({ host, port, user, password, database, clock, log: silentLogger });
  };

  storeContract(
    'postgres',
    async (clock) => {
      const store = await open(await server.createDatabase(), clock);
      return { store, cleanup: () => store.close() };
    },
    systemClock,
  );

  describe('two control planes on one database', () => {
    let a: ResourceStore;
    let b: ResourceStore;
    let watching: AbortController;
    let database: string;

    beforeEach(async () => {
      database = await server.createDatabase();
      // Together, so that their migrations meet.
      [a, b] = await Promise.all([open(database), open(database)]);
      watching = new AbortController();
    });

    afterEach(async () => {
      watching.abort();
      await Promise.all([a.close(), b.close()]);
    });

    it('see each other at once, by read and by watch', async () => {
      const reader = replay(b.watch({ signal: watching.signal }));
      await reader.until(() => reader.synced() === 1);
      const made = await a.create(draft('web', { value: 1 }));
      expect(await b.get(dataplaneKey('web'))).toEqual(made);
      await reader.until(() => reader.state.size === 1);
      expect(reader.state.get('Dataplane/default/web')).toEqual(made);
      await a.delete(dataplaneKey('web'));
      await reader.until(() => reader.state.size === 0);
    });

    it('keep everything when a control plane closes and another opens', async () => {
      await a.create(draft('web', { value: 1 }));
      await a.close();
      const c = await open(database);
      expect((await c.list({ type: 'Dataplane' })).total).toBe(1);
      await c.close();
    });

    it('lose no update between them', async () => {
      await a.create(draft('counter', { value: 0 }));
      const increment = async (store: ResourceStore, times: number) => {
        for (let done = 0; done < times; ) {
          const current = (await store.get(dataplaneKey('counter')))!;
          const { value } = current.spec as { value: number };
          const outcome = await store.update(draft('counter', { value: value + 1 }), current.meta.version).then(
            () => 'ok',
            (error: { code: string }) => error.code,
          );
          expect(['ok', 'conflict']).toContain(outcome);
          if (outcome === 'ok') done += 1;
        }
      };
      await Promise.all([a, b, a, b].map((store) => increment(store, 10)));
      expect((await a.get(dataplaneKey('counter')))?.spec).toEqual({ value: 40 });
    });

    it('give every watcher of both every change in one order, whatever the writers do', async () => {
      const readers = [a, b].map((store) => replay(store.watch({ signal: watching.signal })));
      await Promise.all(readers.map((reader) => reader.until(() => reader.synced() === 1)));
      await Promise.all(
        [a, b, a, b, a, b].map(async (store, writer) => {
          for (let round = 0; round < 30; round += 1) {
            const name = `w${writer}-${round % 5}`;
            // Big and small transactions, so that some take long between their numbers and their commit.
            const filler = Array.from({ length: round % 3 === 0 ? 50 : 0 }, (_, index) => ({
              op: 'put' as const,
              resource: draft(`filler-${index}`, { writer, round }),
            }));
            await store.transact([...filler, { op: 'put', resource: draft(name, { round }) }]);
            if (round % 7 === 6) await store.delete(dataplaneKey(name));
          }
        }),
      );
      const final = await everything(a, ['Dataplane']);
      for (const reader of readers) {
        await reader.until(
          () =>
            reader.state.size === final.size &&
            [...final].every(([key, one]) => reader.state.get(key)?.meta.version === one.meta.version),
        );
        expect(new Map([...reader.state].toSorted())).toEqual(new Map([...final].toSorted()));
        const versions = reader.batches
          .flat()
          .flatMap((one) => (one.op === 'upsert' ? [Number(one.resource.meta.version)] : []));
        expect(versions).toEqual(versions.toSorted((x, y) => x - y));
      }
    });

    it('refuse the data of one caller without hurting those who wrote at the same time', async () => {
      const outcomes = await Promise.allSettled([
        a.create(draft('one')),
        a.create(draft('two', {}, { labels: { nul: '\u0000' } })),
        a.create(draft('three')),
      ]);
      expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect((await b.list({ type: 'Dataplane' })).total).toBe(2);
    });

    it('list anew when a reader is behind the trimmed tombstones', async () => {
      await a.transact(['x', 'y'].map((name) => ({ op: 'create' as const, resource: draft(name) })));
      const reader = replay(b.watch({ signal: watching.signal }));
      await reader.until(() => reader.synced() === 1);
      // A delete whose tombstone is gone before anybody was told of it.
      await server.query(
        database,
        `BEGIN; DELETE FROM weft_resource WHERE name = 'x';
         UPDATE weft_trim SET through = (SELECT nextval('weft_version')); COMMIT`,
      );
      await a.create(draft('z'));
      await reader.until(() => reader.synced() === 2);
      expect([...reader.state.keys()].toSorted()).toEqual(['Dataplane/default/y', 'Dataplane/default/z']);
    });

    it('refuse a database of a newer program', async () => {
      await server.query(database, 'UPDATE weft_schema SET version = 1000');
      const error = await open(database).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'unavailable' });
      expect(String(error)).toMatch(/schema version 1000 is newer than \d+/);
    });
  });

  it('says what is wrong when it cannot start, and never the password', async () => {
    const { host, port, user } = server;
    const bad = { host, port, user, password: 'hunter2', database: 'postgres', clock: systemClock, log: silentLogger };
    const error = await createPostgresStore(bad).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'unavailable' });
    expect(String(error)).toMatch(/password authentication failed/);
    expect(String(error)).not.toContain('hunter2');
    expect(await errorCode(createPostgresStore({ ...bad, port: 1 }))).toBe('unavailable');
  });
});
