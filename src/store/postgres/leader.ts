import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';
import { serveTerm } from '../leader-term.ts';
import type { LeaderElection } from '../store.ts';
import { createClient, LOCK_SPACE, LOCKS, type PostgresAddress, within } from './connect.ts';

/** A follower asks for the lock so often. Asking, not waiting in the server: a statement that waits for hours would hold back VACUUM. */
const ASK_MS = 1000;
/** The leader tests its connection so often, and gives up when an answer takes longer. */
const BEAT_MS = 2000;
const BEAT_ANSWER_MS = 3000;

/**
 * Leadership is a session advisory lock, held on a connection of its own. The lock goes when the process dies (its socket closes), when the
 * server restarts, and when the server hears nothing for 11 s (`tcp_keepalives_*`); a leader that is cut off stops within 5 s, before that.
 * So two leaders never overlap by more than the time a task needs to see its signal; what tasks write carries versions all the same.
 * A lock, not a lease row: no writes while idle, no clocks to compare, and a dead leader is replaced in about a second.
 * One `run` at a time.
 */
export function createPostgresLeaderElection(options: {
  address: PostgresAddress;
  clock: Clock;
  log: Logger;
}): LeaderElection {
  const { address, clock, log } = options;
  let leading = false;
  let running = false;
  let warned = false;

  /** One connection: asks until it gets the lock, then serves until the connection is lost. Rejects with the reason, or resolves on abort. */
  async function stand(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const client = createClient(address, 'leader election');
    const lost = new AbortController();
    client.on('error', (error) => lost.abort(error));
    client.on('end', () => lost.abort(new Error('the server closed the connection')));
    const over = AbortSignal.any([signal, lost.signal]);
    const ask = async (sql: string) =>
      (await within(clock, BEAT_ANSWER_MS, client.query<{ ok: boolean }>(sql))).rows[0]?.ok === true;
    try {
      await client.connect();
      while (!over.aborted && !(await ask(`SELECT pg_try_advisory_lock(${LOCK_SPACE}, ${LOCKS.lead}) AS ok`))) {
        await sleep(clock, ASK_MS, over);
      }
      if (!over.aborted) {
        leading = true;
        warned = false;
        log.info('leading', {});
        const fall = () => {
          leading = false;
        };
        over.addEventListener('abort', fall, { once: true });
        const term = serveTerm(lead, { clock, log, signal: over });
        while (!over.aborted) {
          await sleep(clock, BEAT_MS, over);
          if (!over.aborted) await ask('SELECT true AS ok').catch((error: unknown) => lost.abort(error));
        }
        await term;
      }
      if (!signal.aborted) throw lost.signal.reason;
    } finally {
      // Ends the session, and with it the lock; a query that hangs is cut off.
      await within(clock, BEAT_ANSWER_MS, client.end()).catch(() => undefined);
    }
  }

  return {
    async run(lead, signal) {
      if (running)
        throw new Error('run leader election: it runs already; put the tasks of one process into one `lead`');
      running = true;
      try {
        while (!signal.aborted) {
          const error = await stand(lead, signal).catch((caught: unknown) => caught ?? new Error('connection lost'));
          if (signal.aborted) return;
          if (!warned) log.warn('leader election lost PostgreSQL, trying again', { error });
          warned = true;
          await sleep(clock, ASK_MS, signal);
        }
      } finally {
        running = false;
        leading = false;
      }
    },
    isLeader: () => leading,
  };
}
