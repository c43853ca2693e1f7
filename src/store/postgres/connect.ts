import { Client, type ClientConfig, DatabaseError, Pool, type PoolClient } from 'pg';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { StoreError } from '../store.ts';

/** How to reach one PostgreSQL database. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Absent: no TLS. */
  readonly tls?: PostgresTls;
  /** Most time to open one connection; default and upper limit 3000, so that an answer comes within `ANSWER_MS`. */
  readonly connectTimeoutMs?: number;
}

export interface PostgresTls {
  /** `verifyNone` encrypts only, `verifyCa` checks the chain, `verifyFull` the host name too. */
  readonly mode: 'verifyNone' | 'verifyCa' | 'verifyFull';
  /** PEM; absent: the CAs that Node trusts. */
  readonly ca?: string;
  /** PEM of the client certificate and its key. */
  readonly cert?: string;
  readonly key?: string;
}

/** Limits of the pool; as in Kuma's `store.postgres`. */
export interface PostgresPoolOptions {
  /** Default 10. */
  readonly maxConnections?: number;
  /** Kept open when idle; default 0. */
  readonly minConnections?: number;
  /** Default 30 min. */
  readonly maxIdleMs?: number;
  /** Default: no limit. */
  readonly maxLifetimeMs?: number;
}

/** Every call of the store is answered within this time, with a result or `unavailable`. */
export const ANSWER_MS = 5000;
const CONNECT_MS = 3000;

/**
 * Keys of our advisory locks, second part. The first is `LOCK_SPACE`. Locks are per database, so stores in two databases do not meet.
 */
export const LOCK_SPACE = 0x77656674;
export const LOCKS = { migrate: 1, write: 2, lead: 3 } as const;

/** Lets the server notice within 11 s of silence that a client is gone, and frees what it held. */
const SERVER_KEEPALIVE = '-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3';

function clientConfig(address: PostgresAddress, purpose: string): ClientConfig {
  return {
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password,
    database: address.database,
    ssl: address.tls === undefined ? false : tlsConfig(address.tls),
    application_name: `weft ${purpose}`,
    connectionTimeoutMillis: Math.min(address.connectTimeoutMs ?? CONNECT_MS, CONNECT_MS),
    keepAlive: true,
    options: SERVER_KEEPALIVE,
  };
}

function tlsConfig(tls: PostgresTls): Exclude<ClientConfig['ssl'], boolean | undefined> {
  return {
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key }),
    rejectUnauthorized: tls.mode !== 'verifyNone',
    ...(tls.mode !== 'verifyFull' && { checkServerIdentity: () => undefined }),
  };
}

/** A pool for short statements; statements sent together share a round trip. The server ends what takes too long, also when this process is gone. The owner calls `end()`. */
export function createPool(address: PostgresAddress, options: PostgresPoolOptions, log: Logger): Pool {
  const pool = new Pool({
    ...clientConfig(address, 'store'),
    // The server gives up a little before we do. A connection whose query got no answer at all is destroyed.
    statement_timeout: ANSWER_MS - 500,
    query_timeout: ANSWER_MS,
    idle_in_transaction_session_timeout: ANSWER_MS,
    pipeline: true,
    max: options.maxConnections ?? 10,
    min: options.minConnections ?? 0,
    idleTimeoutMillis: options.maxIdleMs ?? 30 * 60_000,
    ...(options.maxLifetimeMs !== undefined && { maxLifetimeSeconds: Math.ceil(options.maxLifetimeMs / 1000) }),
  });
  // A broken connection is dropped: by the pool when idle, by `onConnection` when in use. Without a listener the error would end the process.
  pool.on('connect', (client) => client.on('error', (error) => log.debug('connection to PostgreSQL lost', { error })));
  pool.on('error', () => undefined);
  return pool;
}

/** A connection of its own, for LISTEN or a session lock; not connected yet. The owner calls `end()`. */
export function createClient(address: PostgresAddress, purpose: string): Client {
  return new Client(clientConfig(address, purpose));
}

/**
 * Runs `use` on a connection of the pool and answers within `budgetMs`: when time is up the connection is thrown away, and the server rolls back.
 * A connection that failed in any way is not used again. Throws `unavailable`, or the driver's error for a statement the server refused.
 */
export async function onConnection<T>(
  pool: Pool,
  clock: Clock,
  what: string,
  budgetMs: number,
  use: (client: PoolClient) => Promise<T>,
): Promise<T> {
  let client: PoolClient | undefined;
  let over = false;
  const giveBack = (broken: boolean) => {
    const held = client;
    client = undefined;
    held?.release(broken);
  };
  const { promise: timeUp, reject } = Promise.withResolvers<never>();
  const timer = clock.after(budgetMs, () => {
    over = true;
    giveBack(true);
    reject(new Error(`no answer in ${Math.round(budgetMs)} ms`));
  });
  const work = async () => {
    client = await pool.connect();
    if (over) return giveBack(false) as never;
    try {
      const result = await use(client);
      giveBack(false);
      return result;
    } catch (error) {
      giveBack(true);
      throw error;
    }
  };
  try {
    return await Promise.race([work(), timeUp]);
  } catch (error) {
    throw isRefusal(error) ? error : unavailable(what, error);
  } finally {
    timer.cancel();
  }
}

/**
 * Did a working server refuse the statement itself? SQLSTATE classes 22 (data), 23 (constraint), 42 (syntax, rights): asking again will not help.
 * Source: PostgreSQL 15 manual, appendix A.
 */
export function isRefusal(error: unknown): boolean {
  return error instanceof StoreError || (error instanceof DatabaseError && /^(22|23|42)/.test(error.code ?? ''));
}

/** `unavailable` with what was tried and why it failed. */
export function unavailable(what: string, cause: unknown): StoreError {
  const reason = cause instanceof Error && cause.message !== '' ? cause.message : codeOf(cause);
  return new StoreError('unavailable', `${what} in PostgreSQL: ${reason}`, { cause });
}

/** A failed connect to several addresses is an `AggregateError` without a message. */
function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);
}

/** Rejects when `work` takes longer than `ms`. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = clock.after(ms, () => reject(new Error(`no answer in ${ms} ms`)));
  try {
    return await Promise.race([work, promise]);
  } finally {
    timer.cancel();
  }
}
