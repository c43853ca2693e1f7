import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { alwaysLeader } from '../store/always-leader.ts';
import { createMemoryStore } from '../store/memory.ts';
import { type LeaderElection, type ResourceStore, StoreError } from '../store/store.ts';
import type { ControlPlaneConfig } from './config.ts';

/** The configured store and its leader election. Drivers are loaded when they are needed: PostgreSQL's costs start-up time. Throws `StoreError`. */
export async function openStore(
  config: ControlPlaneConfig,
  workDir: string,
  clock: Clock,
  log: Logger,
): Promise<{ store: ResourceStore; election: LeaderElection }> {
  switch (config.store.type) {
    case 'memory':
      return { store: createMemoryStore({ clock }), election: alwaysLeader({ clock, log }) };
    case 'sqlite': {
      const { createSqliteStore } = await import('../store/sqlite/store.ts');
      const path = config.store.sqlite.path || join(workDir, 'weft.db');
      return { store: createSqliteStore({ path, clock, log }), election: alwaysLeader({ clock, log }) };
    }
    case 'postgres': {
      const { openPostgres } = await import('./open-postgres.ts');
      return openPostgres(config, clock, log);
    }
    case 'kubernetes':
      throw new StoreError('unavailable', 'open the Kubernetes store: it is for environment "kubernetes" only');
    default:
      return config.store.type satisfies never;
  }
}
