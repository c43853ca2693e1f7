import type { DatabaseSync } from 'node:sqlite';

/**
 * Steps from one `user_version` to the next; the number of steps is the version this program writes.
 * A step that was released is never edited: add one.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE resource (
     type TEXT NOT NULL,
     mesh TEXT NOT NULL,
     name TEXT NOT NULL,
     version INTEGER NOT NULL,
     creation_time TEXT NOT NULL,
     modification_time TEXT NOT NULL,
     labels TEXT NOT NULL,
     spec TEXT NOT NULL,
     status TEXT,
     PRIMARY KEY (type, mesh, name)
   ) STRICT;
   CREATE TABLE write_counter (
     id INTEGER PRIMARY KEY CHECK (id = 1),
     last_version INTEGER NOT NULL
   ) STRICT;
   INSERT INTO write_counter VALUES (1, 0);`,
];

/** Brings the file to the version this program writes, in one transaction. Throws an `Error` when the file is of a newer program. */
export function migrate(database: DatabaseSync): void {
  const found = database.prepare('PRAGMA user_version').get()?.['user_version'];
  const version = typeof found === 'number' ? found : 0;
  if (version > MIGRATIONS.length) {
    throw new Error(
      `its schema version ${version} is newer than ${MIGRATIONS.length}, the newest this program knows; start a newer one`,
    );
  }
  if (version === MIGRATIONS.length) return;
  const steps = MIGRATIONS.slice(version).join('\n');
  database.exec(`BEGIN IMMEDIATE; ${steps} PRAGMA user_version = ${MIGRATIONS.length}; COMMIT;`);
}
