import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createPool, LOCK_SPACE, LOCKS, type PostgresTls } from '../../src/store/postgres/connect.ts';
import { createPostgresStore } from '../../src/store/postgres/store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { eventually } from '../../src/testing/envoy.ts';
import { missingPostgres, type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts';
import { dataplaneKey, draft, errorCode, everything } from '../../src/testing/store-contract/drafts.ts';
import { replay } from '../../src/testing/store-contract/replay.ts';

const missing = missingPostgres();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);
const because = missing === undefined ? '' : ` (${missing})`;

/** Time limits of the fault matrix: an answer in 6 s while the store is away, and normal work again within 5 s. */
const ANSWER_MS = 6000;
const RECOVER_MS = 5000;

async function took(work: Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work;
  return performance.now() - started;
}

describe.skipIf(missing !== undefined)(`postgres outage${because}`, () => {
  let server: PostgresServer;
  let store: ResourceStore;
  let database: string;
  let watching: AbortController;
  const open = () => {
    const { host, port, user, password } = server;
    return createPostgresStore({ host, port, user, password, database, clock: systemClock, log: silentLogger });
  };

  beforeEach(async () => {
    server = await startPostgres();
    database = await server.createDatabase();
    store = await open();
    watching = new AbortController();
  });

  afterEach(async () => {
    watching.abort();
    await store.close();
    await server.close();
  });

  const tryEverything = () => [
    store.get(dataplaneKey('web')),
    store.list({ type: 'Dataplane' }),
    store.count(),
    ...Array.from({ length: 20 }, (_, index) => store.transact([{ op: 'put', resource: draft(`dp-${index}`) }])),
  ];

  it.each(['fast', 'crash'] as const)('answers unavailable when the server stopped (%s), and recovers', async (how) => {
    await store.create(draft('web', { value: 1 }));
    const reader = replay(store.watch({ signal: watching.signal }));
    await reader.until(() => reader.synced() === 1);
    await server.stop(how);
    for (let round = 0; round < 2; round += 1) {
      const answered = Promise.all(tryEverything().map(errorCode));
      expect(await took(answered)).toBeLessThan(ANSWER_MS);
      expect(new Set(await answered)).toEqual(new Set(['unavailable']));
    }
    await server.start();
    await eventually('normal work again', () => store.update(draft('web', { value: 2 })), RECOVER_MS);
    expect((await store.get(dataplaneKey('web')))?.spec).toEqual({ value: 2 });
    expect(await took(reader.until(() => reader.synced() === 2 && reader.state.size === 1))).toBeLessThan(RECOVER_MS);
    await store.create(draft('later'));
    await reader.until(() => reader.state.has('Dataplane/default/later'));
  });

  it('answers unavailable when the server hangs, and recovers', async () => {
    await store.create(draft('web', { value: 1 }));
    const reader = replay(store.watch({ signal: watching.signal }));
    await reader.until(() => reader.synced() === 1);
    server.pause();
    const answered = Promise.all(tryEverything().map(errorCode));
    expect(await took(answered)).toBeLessThan(ANSWER_MS);
    expect(new Set(await answered)).toEqual(new Set(['unavailable']));
    // New connections hang, too.
    const again = Promise.all(tryEverything().map(errorCode));
    expect(await took(again)).toBeLessThan(ANSWER_MS);
    expect(new Set(await again)).toEqual(new Set(['unavailable']));
    server.resume();
    await eventually('normal work again', () => store.update(draft('web', { value: 2 })), RECOVER_MS);
    await reader.until(() => (reader.state.get('Dataplane/default/web')!.spec as { value: number }).value === 2);
  });

  it('gives a watcher the difference after a restart: what others wrote and deleted, and nothing twice', async () => {
    await store.transact(
      ['kept', 'changed', 'deleted'].map((name) => ({ op: 'create', resource: draft(name, { value: 1 }) })),
    );
    const reader = replay(store.watch({ signal: watching.signal }));
    await reader.until(() => reader.synced() === 1);
    const before = reader.batches.length;
    await server.stop('fast');
    await server.start();
    // Written by hand, before the watcher is back or after: it must see the same in the end.
    await server.query(
      database,
      `UPDATE weft_resource SET spec = '{"value":2}', version = nextval('weft_version') WHERE name = 'changed';
       DELETE FROM weft_resource WHERE name = 'deleted'`,
    );
    await reader.until(() => reader.synced() === 2);
    await store.create(draft('new'));
    await reader.until(() => reader.state.size === 3);
    expect(new Map([...reader.state].toSorted())).toEqual(
      new Map([...(await everything(store, ['Dataplane']))].toSorted()),
    );
    const seen = reader.batches.slice(before).flat();
    expect(seen.filter((one) => one.op === 'upsert').map((one) => one.resource.meta.name)).not.toContain('kept');
  });

  it('lets a watch that begins during an outage wait for the server', async () => {
    await store.create(draft('web'));
    await server.stop('fast');
    const reader = replay(store.watch({ signal: watching.signal }));
    const given = new AbortController();
    const gone = replay(store.watch({ signal: given.signal }));
    given.abort();
    await gone.ended;
    await server.start();
    await reader.until(() => reader.synced() === 1);
    expect([...reader.state.keys()]).toEqual(['Dataplane/default/web']);
  });

  it('closes in time while the server hangs', async () => {
    const reader = replay(store.watch({ signal: watching.signal }));
    await reader.until(() => reader.synced() === 1);
    server.pause();
    const write = errorCode(store.create(draft('web')));
    expect(await took(store.close())).toBeLessThan(ANSWER_MS);
    expect(await write).toBe('unavailable');
    await reader.ended;
    server.resume();
  });

  it('waits for the transaction of another control plane', async () => {
    const lock = `pg_advisory_xact_lock(${LOCK_SPACE}, ${LOCKS.write})`;
    const other = server.query(database, `BEGIN; SELECT ${lock}; SELECT pg_sleep(2); ROLLBACK`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await store.create(draft('web'));
    await other;
  });

  it('frees what a control plane held that fell silent in the middle of a transaction', async () => {
    const { host, port, user, password } = server;
    const pool = createPool({ host, port, user, password, database }, {}, silentLogger);
    const silent = await pool.connect();
    await silent.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_SPACE}, ${LOCKS.write})`);
    const write = store.create(draft('web')).catch((error: unknown) => error);
    expect(await took(write)).toBeLessThan(ANSWER_MS);
    await eventually('normal work again', () => store.transact([{ op: 'put', resource: draft('web') }]), RECOVER_MS);
    silent.release(true);
    await pool.end();
  });
});

describe.skipIf(missing !== undefined)(`postgres over TLS${because}`, () => {
  let directory: string;
  let server: PostgresServer;
  const pem = (name: string) => readFileSync(join(directory, name), 'utf8');

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'weft-tls-'));
    for (const [name, host] of [
      ['server', 'database.example'],
      ['stranger', 'database.example'],
    ] as const) {
      execFileSync(
        'openssl',
        ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'].concat([
          ...['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`],
          ...['-keyout', join(directory, `${name}.key`), '-out', join(directory, `${name}.crt`)],
        ]),
        { stdio: 'ignore' },
      );
    }
    server = await startPostgres({
      settings: { ssl: 'on' },
      files: {
        'server.key': pem('server.key'),
        'server.crt': pem('server.crt'),
        'pg_hba.conf': 'hostssl all all 127.0.0.1/32 scram-sha-256\n',
      },
    });
  });

  afterEach(async () => {
    await server?.close();
    rmSync(directory, { recursive: true });
  });

  const open = (tls?: PostgresTls) => {
    const { host, port, user, password } = server;
    const options = { host, port, user, password, database: 'postgres', clock: systemClock, log: silentLogger };
    return createPostgresStore(tls === undefined ? options : { ...options, tls });
  };

  it('checks what its mode says, and no more', async () => {
    const good: PostgresTls[] = [{ mode: 'verifyNone' }, { mode: 'verifyCa', ca: pem('server.crt') }];
    for (const tls of good) {
      const store = await open(tls);
      await store.transact([{ op: 'put', resource: draft('web') }]);
      await store.close();
    }
    const refused: [PostgresTls | undefined, RegExp][] = [
      [undefined, /no pg_hba.conf entry/],
      [{ mode: 'verifyCa', ca: pem('stranger.crt') }, /self-signed certificate/],
      [{ mode: 'verifyFull', ca: pem('server.crt') }, /does not match certificate/],
    ];
    for (const [tls, reason] of refused) {
      const error = await open(tls).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'unavailable' });
      expect(String(error)).toMatch(reason);
    }
  });
});
