import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { dataplaneKey, draft } from '../../testing/store-contract/drafts.ts';
import { storeContract } from '../../testing/store-contract.ts';
import { StoreError } from '../store.ts';
import { createSqliteStore } from './store.ts';

storeContract(
  'sqlite',
  async (clock) => {
    const directory = mkdtempSync(join(tmpdir(), 'weft-store-'));
    const store = createSqliteStore({ path: join(directory, 'weft.db'), clock, log: silentLogger });
    return {
      store,
      async cleanup() {
        await store.close();
        rmSync(directory, { recursive: true });
      },
    };
  },
  systemClock,
);

describe('sqlite store', () => {
  let directory: string;
  let path: string;
  const open = () => createSqliteStore({ path, clock: systemClock, log: silentLogger });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weft-store-'));
    path = join(directory, 'deeper', 'weft.db');
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  it('has everything again after it was closed and opened', async () => {
    const first = open();
    await first.create(draft('web', { value: 1, list: ['ü', null] }, { labels: { a: 'b' }, status: { ok: true } }));
    const web = await first.update(draft('web', { value: 2 }, { labels: { a: 'b' }, status: { ok: false } }));
    await first.create(draft('gone'));
    await first.delete(dataplaneKey('gone'));
    await first.close();
    const second = open();
    expect((await second.list({ type: 'Dataplane' })).items).toEqual([web]);
    expect(Object.isFrozen((await second.get(dataplaneKey('web')))?.spec)).toBe(true);
    const next = await second.create(draft('gone'));
    expect(Number(next.meta.version)).toBe(5);
    await second.close();
  });

  it('is readable by its owner only', async () => {
    const store = open();
    await store.create(draft('web'));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600);
    await store.close();
  });

  it('refuses a file that another store has open, and takes it when that one is closed', async () => {
    const first = open();
    expect(open).toThrow(/another process has it open/);
    await first.create(draft('web'));
    await first.close();
    const second = open();
    expect(await second.get(dataplaneKey('web'))).toBeDefined();
    await second.close();
  });

  it('refuses what is no database, and a file of a newer program, with the path and the reason', async () => {
    const store = open();
    await store.close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 1000');
    database.close();
    const error = (() => {
      try {
        return open();
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toBeInstanceOf(StoreError);
    expect(String(error)).toMatch(/weft\.db: its schema version 1000 is newer than \d+/);
    expect(() => createSqliteStore({ path: import.meta.filename, clock: systemClock, log: silentLogger })).toThrow(
      /not a database/,
    );
  });
});
