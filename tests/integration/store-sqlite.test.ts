import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createSqliteStore } from '../../src/store/sqlite/store.ts';
import { draft } from '../../src/testing/store-contract/drafts.ts';

const WRITER = new URL('./sqlite-writer.ts', import.meta.url).pathname;

describe('sqlite store and a process that dies', () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weft-sqlite-'));
    path = join(directory, 'weft.db');
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  /** Runs the writer until `stop` resolves, kills it, and returns the lines it said. */
  async function runWriter(
    start: number,
    stop: (lines: () => string[]) => Promise<unknown>,
    limit = '',
  ): Promise<string[]> {
    const node = [process.execPath, WRITER, path, String(start)];
    const child = spawn('sh', ['-c', `${limit} exec "$@"`, 'sh', ...node], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const closed = once(child, 'close');
    // A line cut off by the kill was not said.
    const lines = () => said.split('\n').slice(0, -1);
    await stop(lines);
    child.kill('SIGKILL');
    await closed;
    return lines();
  }

  const firstLine = async (lines: () => string[]) => {
    for (const started = performance.now(); lines().length === 0; ) {
      if (performance.now() - started > 20_000) throw new Error('the writer says nothing');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  /** Opens what the dead writer left, checks that only whole rounds are there, and returns the last one. */
  async function lastWholeRound(): Promise<number> {
    const store = createSqliteStore({ path, clock: systemClock, log: silentLogger });
    const { items } = await store.list({ type: 'Dataplane' });
    const rounds = items.map((item) => [item.meta.name, (item.spec as { round: number }).round] as const);
    const last = rounds.find(([name]) => name === 'part-0')?.[1] ?? -1;
    const parts = rounds.filter(([name]) => name.startsWith('part-'));
    expect(parts).toEqual([0, 1, 2, 3, 4].map((part) => [`part-${part}`, last]));
    const made = rounds.filter(([name]) => name.startsWith('made-')).map(([, round]) => round);
    expect(made.toSorted((a, b) => a - b)).toEqual([last - 2, last - 1, last].filter((round) => round >= 0));
    const version = Math.max(...items.map((item) => Number(item.meta.version)));
    const next = await store.create(draft('probe'));
    expect(Number(next.meta.version)).toBeGreaterThan(version);
    await store.delete({ type: 'Dataplane', mesh: 'default', name: 'probe' });
    await store.close();
    return last;
  }

  it('keeps every acknowledged write and only whole transactions through kill -9 at random instants', async () => {
    let next = 0;
    for (let kill = 0; kill < 10; kill += 1) {
      const lines = await runWriter(next, async (said) => {
        await firstLine(said);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 200));
      });
      const acknowledged = Number(lines.at(-1));
      const last = await lastWholeRound();
      // One round may have been committed without its line.
      expect([acknowledged, acknowledged + 1]).toContain(last);
      next = last + 1;
    }
    expect(next).toBeGreaterThan(10);
  });

  it('answers unavailable when it can write no more, and loses nothing', async () => {
    // The limit is in blocks of 512 bytes: room for the first rounds, not for long.
    const lines = await runWriter(
      0,
      async (said) => {
        await firstLine(said);
        for (const started = performance.now(); !said().some((line) => line.endsWith('unavailable')); ) {
          if (performance.now() - started > 20_000) throw new Error('the file system never filled up');
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      },
      'ulimit -f 2000;',
    );
    const refused = lines.findIndex((line) => line.endsWith('unavailable'));
    const acknowledged = lines.filter((line) => !line.endsWith('unavailable')).map(Number);
    expect(refused).toBeGreaterThan(0);
    const store = createSqliteStore({ path, clock: systemClock, log: silentLogger });
    const { items } = await store.list({ type: 'Dataplane' });
    const rounds = new Set(
      items.filter((item) => item.meta.name.startsWith('part-')).map((item) => (item.spec as { round: number }).round),
    );
    // All parts are of one round: the last one that was acknowledged, or a later one that was killed between its commit and its word.
    expect(rounds.size).toBe(1);
    const [round = -1] = rounds;
    expect(round).toBeGreaterThanOrEqual(acknowledged.at(-1)!);
    expect(lines).not.toContain(`${round} unavailable`);
    await store.create(draft('room again'));
    await store.close();
  });
});
