import type { Client } from 'pg';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';
import { keyOf, keyText, type Resource, type ResourceKey } from '../../resources/resource.ts';
import { createChangeFeed, type WatchOptions } from '../change-feed.ts';
import { frozenJson } from '../frozen.ts';
import { createResourceTable, type TableChange } from '../resource-table.ts';
import type { Change } from '../store.ts';
import { ANSWER_MS, createClient, type PostgresAddress, within } from './connect.ts';
import { RESOURCE_COLUMNS, type ResourceRow, toResource } from './rows.ts';

/** The whole store as one connection follows it, shared by all watchers of the process. */
export interface Mirror {
  /** As `ResourceStore.watch`; what was committed before the first `next()` is in the first batch. Waits while the server is away. */
  watch(options: WatchOptions): AsyncIterable<readonly Change[]>;
  /** Ends every watch and the connection. */
  close(): Promise<void>;
}

/** Silence after which the connection is tested, by asking for changes; also the net under a lost notification. */
const HEARTBEAT_MS = 10_000;
/** A full list may be large. */
const RELIST_MS = 60_000;
const RECONNECT = { baseMs: 50, maxMs: 1000, jitter: 0.5 };

/** Everything, with the trim mark of the same instant. One row without a resource when there is nothing. */
const LIST_ALL = `
  SELECT t.through, r.* FROM weft_trim t
  LEFT JOIN (SELECT ${RESOURCE_COLUMNS}, false AS deleted FROM weft_resource) r ON true ORDER BY r.version`;

/** Latest state of every key written after $1, in commit order, with the trim mark of the same instant. */
const LIST_CHANGES = `
  SELECT t.through, c.* FROM weft_trim t LEFT JOIN LATERAL (
    SELECT ${RESOURCE_COLUMNS}, false AS deleted FROM weft_resource WHERE version > $1
    UNION ALL
    SELECT type, mesh, name, version, '', '', NULL, '', NULL, true FROM weft_tombstone WHERE version > $1
  ) c ON true ORDER BY c.version`;

type ChangeRow = ResourceRow & { readonly deleted: boolean };
type Row = { readonly through: string } & (ChangeRow | { readonly [Column in keyof ChangeRow]: null });

/**
 * Connects at the first watch. Each connection lists everything anew and publishes the difference: numbers may have gone back when
 * another server took over, so "what came after N" is only asked on the connection that learned N.
 */
export function createMirror(options: {
  address: PostgresAddress;
  clock: Clock;
  log: Logger;
  random: () => number;
}): Mirror {
  const { address, clock, log, random } = options;
  const table = createResourceTable();
  const feed = createChangeFeed((types) => table.all(types));
  const stop = new AbortController();
  /** Watchers that wait for a look at the server that begins after they came. */
  let joining: (() => void)[] = [];
  let wake: (() => void) | undefined;
  let position = 0;
  let lists = 0;
  let following: Promise<void> | undefined;

  async function follow(): Promise<void> {
    for (let failures = 0; !stop.signal.aborted; ) {
      const before = lists;
      const error = await holdConnection().catch((caught: unknown) => caught);
      if (stop.signal.aborted) return;
      failures = lists > before ? 1 : failures + 1;
      if (failures === 1) log.warn('connection that watches PostgreSQL lost, connecting again', { error });
      await sleep(clock, backoffMs(failures, { ...RECONNECT, random: random() }), stop.signal);
    }
  }

  /** One connection, from connect to its end. Rejects with the reason, or resolves on stop. */
  async function holdConnection(): Promise<void> {
    const client = createClient(address, 'watch');
    let dirty = false;
    let lost: Error | undefined;
    const poke = () => wake?.();
    const lose = (error: Error) => {
      lost ??= error;
      poke();
    };
    client.on('error', lose);
    client.on('end', () => lose(new Error('the server closed the connection')));
    client.on('notification', () => {
      dirty = true;
      poke();
    });
    const abandon = () => {
      poke();
      // Destroys the socket when a query hangs; errors of a broken connection were reported already.
      client.end().catch(() => undefined);
    };
    stop.signal.addEventListener('abort', abandon);
    try {
      await client.connect();
      await within(clock, ANSWER_MS, client.query('LISTEN weft_change'));
      await look(() => relist(client));
      if (lists > 1) log.info('watching PostgreSQL again', {});
      while (!stop.signal.aborted) {
        if (lost !== undefined) throw lost;
        if (dirty || joining.length > 0) {
          dirty = false;
          await look(() => fetchChanges(client));
        } else {
          // The beat asks for changes, too.
          if ((await idle()) === 'quiet') dirty = true;
        }
      }
    } finally {
      stop.signal.removeEventListener('abort', abandon);
      abandon();
    }
  }

  /** Resolves when something happens, or after a quiet while. */
  async function idle(): Promise<'woken' | 'quiet'> {
    const { promise, resolve } = Promise.withResolvers<'woken' | 'quiet'>();
    const timer = clock.after(HEARTBEAT_MS, () => resolve('quiet'));
    wake = () => resolve('woken');
    try {
      return await promise;
    } finally {
      wake = undefined;
      timer.cancel();
    }
  }

  /** Runs one look at the server, then lets those in who waited for it. When it fails they wait on. */
  async function look(read: () => Promise<void>): Promise<void> {
    const served = joining;
    joining = [];
    try {
      await read();
    } catch (error) {
      joining.push(...served);
      throw error;
    }
    for (const enter of served) enter();
  }

  async function relist(client: Client): Promise<void> {
    const { rows } = await within(clock, RELIST_MS, client.query<Row>(LIST_ALL));
    const gone = new Map([...table.all()].map((one) => [keyText(keyOf(one)), keyOf(one)]));
    const changes: TableChange[] = [];
    const present = rows.filter(isChange);
    for (const row of present) gone.delete(keyText(row));
    for (const key of gone.values()) push(changes, table.set(key, undefined));
    for (const row of present) {
      const old = table.get(row);
      const same = old?.meta.version === row.version && old.meta.modificationTime === row.modification_time;
      if (!same) push(changes, table.set(keyOfRow(row), keepEqualParts(toResource(row), old)));
    }
    position = Math.max(Number(rows[0]?.through ?? 0), Number(present.at(-1)?.version ?? 0));
    lists += 1;
    feed.publish(changes);
    if (lists > 1) feed.publishSynced();
  }

  async function fetchChanges(client: Client): Promise<void> {
    const { rows } = await within(clock, ANSWER_MS, client.query<Row>(LIST_CHANGES, [position]));
    if (Number(rows[0]?.through ?? 0) > position) return relist(client);
    const changes: TableChange[] = [];
    for (const row of rows.filter(isChange)) {
      const key = keyOfRow(row);
      push(changes, table.set(key, row.deleted ? undefined : keepEqualParts(toResource(row), table.get(key))));
      position = Number(row.version);
    }
    feed.publish(changes);
  }

  /** Resolves after a look at the server that began after this call, or when `signal` aborts or the mirror closes. */
  async function caughtUp(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    joining.push(resolve);
    wake?.();
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (!signal.aborted) await promise;
    joining = joining.filter((one) => one !== resolve);
  }

  return {
    async *watch(watch) {
      if (watch.signal.aborted || stop.signal.aborted) return;
      following ??= follow();
      await caughtUp(AbortSignal.any([watch.signal, stop.signal]));
      yield* feed.subscribe(watch);
    },
    async close() {
      stop.abort();
      feed.close();
      await following;
    },
  };
}

function isChange(row: Row): row is { readonly through: string } & ChangeRow {
  return row.type !== null;
}

function keyOfRow(row: ChangeRow): ResourceKey {
  return { type: row.type, mesh: row.mesh, name: row.name };
}

function push(changes: TableChange[], change: TableChange | undefined): void {
  if (change !== undefined) changes.push(change);
}

/** The resource with those parts of `old` that are equal. */
function keepEqualParts(resource: Resource, old: Resource | undefined): Resource {
  if (old === undefined) return resource;
  const labels = frozenJson(resource.meta.labels, old.meta.labels);
  const spec = frozenJson(resource.spec, old.spec);
  const status = frozenJson(resource.status, old.status);
  const meta = Object.freeze({ ...resource.meta, labels });
  return Object.freeze({ type: resource.type, meta, spec, ...(status !== undefined && { status }) });
}
