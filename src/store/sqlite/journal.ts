import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import type { Resource } from '../../resources/resource.ts';
import { freezeParsed } from '../frozen.ts';
import type { Journal } from '../local-store.ts';
import { describeKey, type Outcome } from '../plan-writes.ts';
import { StoreError } from '../store.ts';
import { createFileSync, type FileSync, syncDirectory } from './file-sync.ts';
import { migrate } from './schema.ts';

/** How long an opening process waits for the one that still has the file, and pages of WAL before SQLite folds it into the file (16 MB). */
const BUSY_TIMEOUT_MS = 2000;
const CHECKPOINT_PAGES = 4000;

/**
 * The SQLite file behind a local store. Why these settings:
 * - `journal_mode=WAL`: a transaction is one append; a process killed at any instant leaves whole transactions only.
 * - `synchronous=NORMAL` and a sync of the WAL in `flush`: together as durable as FULL (a write is acknowledged when its frames are on the
 *   disk; SQLite itself syncs the WAL before a checkpoint and its header after a reset), but the sync runs off the event loop, and
 *   transactions that wait together share it.
 * - `locking_mode=EXCLUSIVE`: the memory beside the file is only right while nobody else writes it, so a second process must fail to open it.
 *   The lock goes with the process, however it ends.
 * See docs/decisions/0002-store-watch.md. Throws `unavailable`.
 */
export function openJournal(path: string): Journal {
  const database = open(path);
  const statements = prepare(database);
  const wal = createFileSync(`${path}-wal`);
  return {
    load: () => ({ resources: readAll(database), lastVersion: readLastVersion(database) }),
    commit: (outcomes, lastVersion) => commit(database, statements, outcomes, lastVersion, path),
    flush: () => flush(wal, path),
    async close() {
      await wal.close();
      database.close();
    },
  };
}

function open(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    const isNew = !existsSync(path);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Secrets live here: only the owner may read it. SQLite gives the WAL the same mode.
    if (isNew) closeSync(openSync(path, 'a', 0o600));
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    database.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
    `);
    migrate(database);
    // A lock is only taken by the first access: take it now, not at the first write.
    database.exec('BEGIN IMMEDIATE; COMMIT;');
    if (isNew) syncDirectory(dirname(path));
    return database;
  } catch (error) {
    database?.close();
    throw unavailable(`open the store file ${path}`, error);
  }
}

interface Statements {
  readonly put: StatementSync;
  readonly remove: StatementSync;
  readonly count: StatementSync;
}

function prepare(database: DatabaseSync): Statements {
  return {
    put: database.prepare(
      `INSERT INTO resource (type, mesh, name, version, creation_time, modification_time, labels, spec, status)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (type, mesh, name) DO UPDATE SET version = excluded.version, creation_time = excluded.creation_time,
         modification_time = excluded.modification_time, labels = excluded.labels, spec = excluded.spec, status = excluded.status`,
    ),
    remove: database.prepare('DELETE FROM resource WHERE type = ? AND mesh = ? AND name = ?'),
    count: database.prepare('UPDATE write_counter SET last_version = ?'),
  };
}

function commit(
  database: DatabaseSync,
  statements: Statements,
  outcomes: Iterable<Outcome>,
  lastVersion: number,
  path: string,
): void {
  try {
    database.exec('BEGIN IMMEDIATE');
    for (const { key, version, resource } of outcomes) {
      if (resource === undefined) {
        statements.remove.run(key.type, key.mesh, key.name);
        continue;
      }
      const { meta, spec, status } = resource;
      statements.put.run(
        key.type,
        key.mesh,
        key.name,
        version,
        meta.creationTime,
        meta.modificationTime,
        JSON.stringify(meta.labels),
        JSON.stringify(spec ?? null),
        status === undefined ? null : JSON.stringify(status),
      );
    }
    statements.count.run(lastVersion);
    database.exec('COMMIT');
  } catch (error) {
    // Some errors end the transaction by themselves.
    if (database.isOpen && database.isTransaction) database.exec('ROLLBACK');
    throw unavailable(`write to the store file ${path}`, error);
  }
}

async function flush(wal: FileSync, path: string): Promise<void> {
  try {
    await wal.flush();
  } catch (error) {
    throw unavailable(`sync the store file ${path}`, error);
  }
}

function* readAll(database: DatabaseSync): Iterable<Resource> {
  const columns = 'type, mesh, name, version, creation_time, modification_time, labels, spec, status';
  for (const row of database.prepare(`SELECT ${columns} FROM resource`).iterate()) yield toResource(row);
}

function readLastVersion(database: DatabaseSync): number {
  const last = database.prepare('SELECT last_version FROM write_counter').get()?.['last_version'];
  return typeof last === 'number' ? last : 0;
}

function toResource(row: Record<string, SQLOutputValue>): Resource {
  const type = String(row['type']);
  const mesh = String(row['mesh']);
  const name = String(row['name']);
  try {
    const status = row['status'];
    return freezeParsed({
      type,
      meta: {
        mesh,
        name,
        labels: JSON.parse(String(row['labels'])) as Record<string, string>,
        creationTime: String(row['creation_time']),
        modificationTime: String(row['modification_time']),
        version: String(row['version']),
      },
      spec: JSON.parse(String(row['spec'])) as unknown,
      ...(typeof status === 'string' && { status: JSON.parse(status) as unknown }),
    });
  } catch (error) {
    throw unavailable(`read ${describeKey({ type, mesh, name })} from the store file`, error);
  }
}

function unavailable(tried: string, cause: unknown): StoreError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const next = reason.includes('locked') ? '; another process has it open' : '';
  return new StoreError('unavailable', `${tried}: ${reason}${next}`, { cause });
}
