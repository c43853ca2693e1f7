import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createPostgresLeaderElection } from '../../src/store/postgres/leader.ts';
import type { LeaderElection } from '../../src/store/store.ts';
import { missingPostgres, type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts';

const missing = missingPostgres();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const CANDIDATE = new URL('./leader-candidate.ts', import.meta.url).pathname;

describe.skipIf(missing !== undefined)(
  `postgres leader election${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let server: PostgresServer;
    let database: string;
    let over: AbortController;
    let terms: string[];
    let running: Promise<void>[];
    let children: ChildProcess[];

    beforeAll(async () => {
      server = await startPostgres();
    });

    afterAll(() => server?.close());

    beforeEach(async () => {
      database = await server.createDatabase();
      over = new AbortController();
      terms = [];
      running = [];
      children = [];
    });

    afterEach(async () => {
      over.abort();
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(running);
    });

    const address = () => {
      const { host, port, user, password } = server;
      return { host, port, user, password, database };
    };

    const candidate = (name: string, signal: AbortSignal): LeaderElection => {
      const election = createPostgresLeaderElection({ address: address(), clock: systemClock, log: silentLogger });
      const lead = async (term: AbortSignal) => {
        terms.push(`${name} starts`);
        if (!term.aborted) await once(term, 'abort');
        terms.push(`${name} ends`);
      };
      running.push(election.run(lead, AbortSignal.any([signal, over.signal])));
      return election;
    };

    const until = async (test: () => boolean, limitMs: number) => {
      for (const started = performance.now(); !test(); ) {
        if (performance.now() - started > limitMs) throw new Error(`not within ${limitMs} ms: ${terms.join(', ')}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };

    it('has one leader, and hands over when it steps down, never with two at a time', async () => {
      const first = new AbortController();
      const a = candidate('a', first.signal);
      await until(() => a.isLeader(), 3000);
      const b = candidate('b', over.signal);
      await new Promise((resolve) => setTimeout(resolve, 2500));
      expect(b.isLeader()).toBe(false);
      first.abort();
      expect(a.isLeader()).toBe(false);
      await until(() => b.isLeader(), 3000);
      expect(terms).toEqual(['a starts', 'a ends', 'b starts']);
    });

    it('hands over when the leader is killed', async () => {
      const child = spawn(process.execPath, [CANDIDATE, JSON.stringify(address())], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      const [line] = await once(createInterface({ input: child.stdout! }), 'line');
      expect(line).toBe('leading');
      const b = candidate('b', over.signal);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect(b.isLeader()).toBe(false);
      child.kill('SIGKILL');
      await until(() => b.isLeader(), 3000);
    });

    it('stops leading when the server goes away, and leads again when it is back', async () => {
      const a = candidate('a', over.signal);
      await until(() => a.isLeader(), 3000);
      await server.stop('crash');
      await until(() => !a.isLeader() && terms.length === 2, 1000);
      await server.start();
      await until(() => a.isLeader(), 5000);
      expect(terms).toEqual(['a starts', 'a ends', 'a starts']);
    });

    it('stops leading within 6 s when the server hangs', async () => {
      const a = candidate('a', over.signal);
      await until(() => a.isLeader(), 3000);
      server.pause();
      await until(() => !a.isLeader() && terms.length === 2, 6000);
      server.resume();
      await until(() => a.isLeader(), 15_000);
    });

    it('refuses two runs at a time', async () => {
      const a = candidate('a', over.signal);
      await until(() => a.isLeader(), 3000);
      await expect(a.run(() => Promise.resolve(), over.signal)).rejects.toThrow(/runs already/);
    });
  },
);
