import { readFile } from 'node:fs/promises';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { PostgresAddress, PostgresTls } from '../store/postgres/connect.ts';
import { createPostgresLeaderElection } from '../store/postgres/leader.ts';
import { createPostgresStore } from '../store/postgres/store.ts';
import type { LeaderElection, ResourceStore } from '../store/store.ts';
import type { ControlPlaneConfig } from './config.ts';

/** The shared store of `store.postgres`, with leader election among the control planes that use it. Throws `StoreError` `unavailable`. */
export async function openPostgres(
  config: ControlPlaneConfig,
  clock: Clock,
  log: Logger,
): Promise<{ store: ResourceStore; election: LeaderElection }> {
  const { postgres } = config.store;
  const tls = await readTls(postgres.tls);
  const address: PostgresAddress = {
    host: postgres.host,
    port: postgres.port,
    user: postgres.user,
    password: postgres.password,
    database: postgres.dbName,
    connectTimeoutMs: Math.min(postgres.connectionTimeout * 1000, 3000),
    ...(tls ? { tls } : {}),
  };
  const store = await createPostgresStore({
    ...address,
    ...(postgres.maxOpenConnections > 0 ? { maxConnections: postgres.maxOpenConnections } : {}),
    minConnections: postgres.minOpenConnections,
    maxIdleMs: postgres.maxConnectionIdleTime,
    maxLifetimeMs: postgres.maxConnectionLifetime,
    clock,
    log,
  });
  return { store, election: createPostgresLeaderElection({ address, clock, log }) };
}

async function readTls(tls: ControlPlaneConfig['store']['postgres']['tls']): Promise<PostgresTls | undefined> {
  if (tls.mode === 'disable') return undefined;
  const read = (path: string) => (path === '' ? undefined : readFile(path, 'utf8'));
  const [ca, cert, key] = await Promise.all([read(tls.caPath), read(tls.certPath), read(tls.keyPath)]);
  return { mode: tls.mode, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
}
