import type { Pool, PoolClient } from 'pg';
import type { Clock } from '../../lib/clock.ts';
import { keyOf, keyText, type Resource, type ResourceKey } from '../../resources/resource.ts';
import { type Outcome, planWrites, type Stored, toStored } from '../plan-writes.ts';
import { StoreError, type Write } from '../store.ts';
import { ANSWER_MS, isRefusal, LOCK_SPACE, LOCKS, onConnection, unavailable } from './connect.ts';
import { keyArrays, WRITE_OUTCOMES, writeParameters } from './rows.ts';

/** Most writes that share one database transaction, unless one caller brings more. */
const GROUP_WRITES = 5000;
const TRIM_EVERY_MS = 10 * 60_000;
const BEGIN = `BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(${LOCK_SPACE}, ${LOCKS.write})`;

/** The writes of one process, in one line. */
export interface WriteQueue {
  /** As `ResourceStore.transact`. */
  submit(writes: readonly Write[]): Promise<readonly Resource[]>;
  /** Refuses new ones and waits for what is under way. */
  close(): Promise<void>;
}

interface Job {
  readonly writes: readonly Write[];
  /** On the monotonic clock. */
  readonly deadline: number;
  /** Set when the server refused the group it was in. */
  readonly alone?: true;
  readonly resolve: (written: readonly Resource[]) => void;
  readonly reject: (error: unknown) => void;
}

interface Head {
  readonly type: string;
  readonly mesh: string;
  readonly name: string;
  readonly version: string;
  readonly creation_time: string;
}

/**
 * Writes of all control planes happen one after the other: each database transaction takes the advisory lock `write` before it draws its numbers,
 * and PostgreSQL frees the lock after the commit is visible. So commit order is the order of the numbers, and a reader who has seen N will never
 * meet a later commit below N. Within one process, callers that wait together share a transaction, each all or nothing by itself.
 * When a transaction fails for want of the server, the outcome of its commit may be unknown: the caller gets `unavailable` and must read again.
 */
export function createWriteQueue(pool: Pool, clock: Clock): WriteQueue {
  const waiting: Job[] = [];
  let running: Promise<void> | undefined;
  let closed = false;
  let trimmedAt = clock.monotonic();

  async function drain(): Promise<void> {
    for (;;) {
      const group = takeGroup(waiting);
      if (group.length === 0) {
        // Here, not after the promise has settled: a caller who comes between would wait for nobody.
        running = undefined;
        return;
      }
      try {
        await commitGroup(group);
      } catch (error) {
        settleFailure(group, error);
      }
    }
  }

  /** A server that does not answer fails everybody in the line: their time is running too. */
  function settleFailure(group: readonly Job[], error: unknown): void {
    if (!isRefusal(error)) {
      for (const job of [...group, ...waiting.splice(0)]) job.reject(error);
    } else if (group.length === 1) {
      group[0]!.reject(error);
    } else {
      // The server refuses somebody's data: each alone finds out whose.
      waiting.unshift(...group.map((job) => ({ ...job, alone: true as const })));
    }
  }

  async function commitGroup(group: readonly Job[]): Promise<void> {
    const budget = Math.min(...group.map((job) => job.deadline)) - clock.monotonic();
    if (budget <= 0) throw unavailable('write', new Error(`no answer in ${ANSWER_MS} ms`));
    const settle = await onConnection(pool, clock, 'write', budget, (client) => applyGroup(client, group));
    for (const [index, job] of group.entries()) settle[index]!(job);
    if (clock.monotonic() - trimmedAt > TRIM_EVERY_MS) {
      trimmedAt = clock.monotonic();
      // A failure costs nothing but room; the next one tries again.
      await onConnection(pool, clock, 'trim tombstones', ANSWER_MS, trimTombstones).catch(() => undefined);
    }
  }

  async function applyGroup(client: PoolClient, group: readonly Job[]): Promise<((job: Job) => void)[]> {
    const keys = group.flatMap((job) => job.writes.map(targetOf));
    // Sent together, run in order: each statement sees what was committed before the lock was ours.
    const [, stored, drawn] = await Promise.all([
      client.query(BEGIN),
      readHeads(client, keys),
      drawVersions(client, keys.length),
    ]);
    let lastVersion = drawn;
    const outcomes = new Map<string, Outcome>();
    const now = new Date(clock.now()).toISOString();
    const settle = group.map(({ writes }): ((job: Job) => void) => {
      try {
        const plan = planWrites(writes, {
          stored: (key) => {
            const outcome = outcomes.get(keyText(key));
            if (outcome === undefined) return stored.get(keyText(key));
            return outcome.resource === undefined ? undefined : toStored(outcome.resource);
          },
          lastVersion,
          now,
        });
        lastVersion = plan.lastVersion;
        for (const [text, outcome] of plan.outcomes) {
          outcomes.delete(text);
          outcomes.set(text, outcome);
        }
        return (job) => job.resolve(plan.results);
      } catch (error) {
        return (job) => job.reject(error);
      }
    });
    // When the write fails the commit behind it is a rollback.
    await Promise.all([
      ...(outcomes.size > 0 ? [client.query(WRITE_OUTCOMES, writeParameters(outcomes.values()))] : []),
      client.query('COMMIT'),
    ]);
    return settle;
  }

  return {
    submit(writes) {
      if (closed) return Promise.reject(new StoreError('unavailable', 'use the postgres store: it is closed'));
      if (writes.length === 0) return Promise.resolve([]);
      const { promise, resolve, reject } = Promise.withResolvers<readonly Resource[]>();
      waiting.push({ writes, deadline: clock.monotonic() + ANSWER_MS, resolve, reject });
      running ??= drain();
      return promise;
    },
    async close() {
      closed = true;
      await running;
    },
  };
}

function takeGroup(waiting: Job[]): Job[] {
  let size = 0;
  let end = 0;
  for (const job of waiting) {
    size += job.writes.length;
    if (end > 0 && (size > GROUP_WRITES || job.alone)) break;
    end += 1;
    if (job.alone) break;
  }
  return waiting.splice(0, end);
}

function targetOf(write: Write): ResourceKey {
  return write.op === 'delete' ? write.key : keyOf(write.resource);
}

/** Version and creation time of those keys that exist, by key text. Called under the lock, so it stays true until the commit. */
async function readHeads(client: PoolClient, keys: readonly ResourceKey[]): Promise<ReadonlyMap<string, Stored>> {
  const { rows } = await client.query<Head>(
    `SELECT r.type, r.mesh, r.name, r.version, r.creation_time FROM weft_resource r
     JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])) AS k (type, mesh, name) USING (type, mesh, name)`,
    keyArrays(keys),
  );
  return new Map(rows.map((row) => [keyText(row), { version: row.version, creationTime: row.creation_time }]));
}

/** Takes `count` numbers and returns the one before the first. Called under the lock: nobody draws between. */
async function drawVersions(client: PoolClient, count: number): Promise<number> {
  const { rows } = await client.query<{ last: string }>(
    `SELECT setval('weft_version', nextval('weft_version') + $1 - 1) AS last`,
    [count],
  );
  return Number(rows[0]?.last) - count;
}

/** Forgets deletes of more than an hour ago, by the server's clock. A reader that far behind lists anew. */
async function trimTombstones(client: PoolClient): Promise<void> {
  await client.query(
    `WITH trimmed AS (DELETE FROM weft_tombstone WHERE deleted_at < now() - interval '1 hour' RETURNING version)
     UPDATE weft_trim SET through = newest.version FROM (SELECT max(version) AS version FROM trimmed) AS newest
     WHERE newest.version > through`,
  );
}
