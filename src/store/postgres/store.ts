import type { QueryResultRow } from 'pg';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { pageOf, parseOffset } from '../page.ts';
import { describeKey } from '../plan-writes.ts';
import { singleWrites } from '../single-writes.ts';
import { type ListQuery, type Page, type ResourceStore, StoreError, type Write } from '../store.ts';
import { ANSWER_MS, createPool, onConnection, type PostgresAddress, type PostgresPoolOptions } from './connect.ts';
import { createMirror } from './mirror.ts';
import { countTypes, getOne, listAll, listPage, type PageRow, type Statement, toPage } from './queries.ts';
import { holdsNul, type ResourceRow, toResource } from './rows.ts';
import { migrate } from './schema.ts';
import { createWriteQueue } from './write-queue.ts';

export type PostgresStoreOptions = PostgresAddress &
  PostgresPoolOptions & {
    readonly clock: Clock;
    readonly log: Logger;
    /** In [0, 1); spreads reconnects. Default `Math.random`. */
    readonly random?: () => number;
  };

/**
 * A store that several control planes share. Reads ask the server, so everybody sees every acknowledged write; watches follow NOTIFY.
 * Sets up or migrates the database first; rejects with `unavailable` when it cannot, and may then be called again.
 * Every call answers within 5 s, with `unavailable` when the server does not.
 */
export async function createPostgresStore(options: PostgresStoreOptions): Promise<ResourceStore> {
  const { clock, log, random = Math.random, ...address } = options;
  await migrate(address, clock);
  const pool = createPool(address, options, log);
  const queue = createWriteQueue(pool, clock);
  const mirror = createMirror({ address, clock, log, random });
  let closing: Promise<void> | undefined;

  async function read<Row extends QueryResultRow>(what: string, statement: Statement): Promise<readonly Row[]> {
    if (closing !== undefined) throw new StoreError('unavailable', 'use the postgres store: it is closed');
    return onConnection(pool, clock, what, ANSWER_MS, async (client) => {
      const { rows } = await client.query<Row>(statement.text, statement.values);
      return rows;
    });
  }

  async function list(query: ListQuery): Promise<Page> {
    const cursor = parseOffset(query.offset);
    if (holdsNul(query.type, query.mesh, query.nameContains, ...Object.entries(query.labels ?? {}).flat())) {
      return { items: [], total: 0 };
    }
    const what = `list ${query.type}`;
    const { where, size } = query;
    if (where !== undefined || (size === undefined && cursor === undefined)) {
      const rows = await read<ResourceRow>(what, listAll(query));
      const all = rows.map(toResource);
      return pageOf(where === undefined ? all : all.filter(where), query);
    }
    const rows = await read<PageRow>(what, listPage(query, cursor));
    return toPage(rows, size);
  }

  const transact = (writes: readonly Write[]) => queue.submit(writes);
  return {
    engine: 'postgres',
    async get(key) {
      if (holdsNul(key.type, key.mesh, key.name)) return undefined;
      const [row] = await read<ResourceRow>(`get ${describeKey(key)}`, getOne(key));
      return row === undefined ? undefined : toResource(row);
    },
    list,
    async count(mesh) {
      const rows = await read<{ type: string; count: string }>('count resources', countTypes(mesh));
      return new Map(rows.map((row) => [row.type, Number(row.count)]));
    },
    ...singleWrites(transact),
    transact,
    watch: (watch) => mirror.watch(watch),
    close() {
      closing ??= (async () => {
        await mirror.close();
        await queue.close();
        await pool.end();
      })();
      return closing;
    },
  };
}
