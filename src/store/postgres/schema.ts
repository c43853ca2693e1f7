import type { Client } from 'pg';
import type { Clock } from '../../lib/clock.ts';
import { StoreError } from '../store.ts';
import { createClient, LOCK_SPACE, LOCKS, type PostgresAddress, unavailable, within } from './connect.ts';

/**
 * Steps from one schema version to the next; the number of steps is the version this program writes. A step that was released is never edited.
 *
 * - `weft_resource`: what exists. `version` is the number of its last write, from one sequence over the whole store. Names sort by their bytes.
 * - `weft_tombstone`: keys that were deleted, under the number of the delete, so that a reader who asks "what after N" learns of them.
 * - `weft_trim`: every tombstone up to `through` may be gone; a reader who stands before it lists anew.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE SEQUENCE weft_version AS bigint;
   CREATE TABLE weft_resource (
     type text COLLATE "C" NOT NULL,
     mesh text COLLATE "C" NOT NULL,
     name text COLLATE "C" NOT NULL,
     version bigint NOT NULL,
     creation_time text NOT NULL,
     modification_time text NOT NULL,
     labels jsonb NOT NULL,
     spec text NOT NULL,
     status text,
     PRIMARY KEY (type, mesh, name)
   );
   CREATE INDEX weft_resource_version ON weft_resource (version);
   CREATE TABLE weft_tombstone (
     version bigint PRIMARY KEY,
     type text COLLATE "C" NOT NULL,
     mesh text COLLATE "C" NOT NULL,
     name text COLLATE "C" NOT NULL,
     deleted_at timestamptz NOT NULL DEFAULT now()
   );
   CREATE TABLE weft_trim (
     id integer PRIMARY KEY CHECK (id = 1),
     through bigint NOT NULL
   );
   INSERT INTO weft_trim VALUES (1, 0);`,
];

/** Most time for the whole set-up, with the wait for another control plane that is at it. */
const MIGRATE_MS = 60_000;

/**
 * Brings the database to the version this program writes. Control planes that start together do it one after the other, under a lock;
 * each run is one transaction. Throws `unavailable`, also when the database is of a newer program.
 */
export async function migrate(address: PostgresAddress, clock: Clock): Promise<void> {
  const client = createClient(address, 'set-up');
  // A broken connection rejects the query under way, too.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await within(clock, MIGRATE_MS, runMigrations(client));
  } catch (error) {
    throw error instanceof StoreError ? error : unavailable('set up the store', error);
  } finally {
    client.end().catch(() => undefined);
  }
}

async function runMigrations(client: Client): Promise<void> {
  await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_SPACE}, ${LOCKS.migrate})`);
  await client.query('CREATE TABLE IF NOT EXISTS weft_schema (version integer NOT NULL)');
  const { rows } = await client.query<{ version: number }>('SELECT version FROM weft_schema');
  const version = rows[0]?.version ?? 0;
  if (version > MIGRATIONS.length) {
    throw new StoreError(
      'unavailable',
      `set up the store in PostgreSQL: schema version ${version} is newer than ${MIGRATIONS.length}, the newest this program knows; start a newer one`,
    );
  }
  for (const step of MIGRATIONS.slice(version)) await client.query(step);
  if (rows.length === 0) await client.query('INSERT INTO weft_schema VALUES ($1)', [MIGRATIONS.length]);
  else await client.query('UPDATE weft_schema SET version = $1', [MIGRATIONS.length]);
  await client.query('COMMIT');
}
