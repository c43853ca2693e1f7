import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { createLocalStore } from '../local-store.ts';
import type { ResourceStore } from '../store.ts';
import { openJournal } from './journal.ts';

/**
 * The embedded store: one file (and its `-wal`), one process. Everything is held in memory too, so reads cost nothing and keep object identity.
 * Makes the file and its directory when missing. Throws `unavailable` when the file cannot be opened, is in use, or is of a newer program.
 */
export function createSqliteStore(options: { path: string; clock: Clock; log: Logger }): ResourceStore {
  const { path, clock, log } = options;
  const started = clock.monotonic();
  const store = createLocalStore({ engine: 'sqlite', clock, journal: openJournal(path) });
  log.info('store opened', { path, durationMs: Math.round(clock.monotonic() - started) });
  return store;
}
