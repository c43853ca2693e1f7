import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DemoSummary } from '../../src/demo/run.ts';
import { eventually, testEnvoy } from '../../src/testing/envoy.ts';

const WEFT = join(import.meta.dirname, '../../dist/bin/weft.js');
const envoy = await testEnvoy();

/** Command lines of all processes that hold `mark` in their environment: everything that one `weft up` has started. */
async function processesOf(mark: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
      if (environment.includes(mark))
        found.push(`${pid} ${(await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ')}`);
    } catch {
      // Gone meanwhile, or a zombie.
    }
  }
  return found;
}

describe.skipIf(envoy === undefined)('weft up', () => {
  let dir: string;
  let running: ChildProcess | undefined;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'weft-demo-'));
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  function up(...flags: string[]) {
    const env = { ...process.env, TMPDIR: dir };
    const child = spawn(process.execPath, [WEFT, 'up', '--binary-path', envoy!, ...flags], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running = child;
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      output.stdout += chunk.toString('utf8');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output.stderr += chunk.toString('utf8');
    });
    const ended = new Promise<number | string>((resolve) =>
      child.once('close', (code, signal) => resolve(signal ?? code ?? -1)),
    );
    return { child, output, ended };
  }

  const nothingLeft = async () => {
    expect(await processesOf(`TMPDIR=${dir}`)).toEqual([]);
    // Node keeps compiled code of the program there, for its next start.
    expect((await readdir(dir)).filter((name) => name !== 'node-compile-cache')).toEqual([]);
  };

  it('rotates each certificate three times without a failed request, and leaves nothing', async () => {
    const { output, ended } = up('--rotations', '3', '--lifetime', '10s', '-o', 'json');
    expect({ code: await ended, stderr: output.stderr }).toMatchObject({ code: 0 });
    const summary = JSON.parse(output.stdout) as DemoSummary;
    expect(summary).toMatchObject({
      end: 'complete',
      refused: { plaintext: expect.any(String), stranger: expect.any(String) },
      requests: { failed: 0, failures: [] },
    });
    expect(summary.requests.ok).toBe(summary.requests.sent);
    expect(summary.requests.ok).toBeGreaterThan(500);
    expect(summary.proxies.map(({ name, spiffeId }) => `${name} ${spiffeId}`).sort()).toEqual([
      'api-1 spiffe://default/api',
      'web-1 spiffe://default/web',
    ]);
    for (const proxy of summary.proxies) {
      expect(proxy.rotations).toBeGreaterThanOrEqual(3);
      expect(new Set(proxy.serials).size).toBe(proxy.serials.length);
    }
    await nothingLeft();
  });

  it.each([
    ['while the control plane starts', 'Envoy 1.'],
    ['while Envoys start', 'services: '],
    ['in full flight', 'requests a second'],
  ])('Ctrl-C %s leaves nothing', async (_when, mark) => {
    const { child, output, ended } = up();
    await eventually(mark, () => output.stdout.includes(mark), 60_000);
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(output.stderr).toBe('');
    await nothingLeft();
  });

  it('takes every process with it when it is killed', async () => {
    const { child, output, ended } = up();
    await eventually('traffic', () => output.stdout.includes('requests a second'), 60_000);
    expect((await processesOf(`TMPDIR=${dir}`)).length).toBeGreaterThan(6);
    child.kill('SIGKILL');
    await ended;
    await eventually('all processes are gone', async () => (await processesOf(`TMPDIR=${dir}`)).length === 0, 15_000);
  });

  it('shows the log of a process that ends by itself', async () => {
    const { output, ended } = up();
    await eventually('traffic', () => output.stdout.includes('requests a second'), 60_000);
    const controlPlane = (await processesOf(`TMPDIR=${dir}`)).find((line) => line.includes(' cp run '));
    process.kill(Number.parseInt(controlPlane!, 10), 'SIGKILL');
    expect(await ended).toBe(1);
    expect(output.stderr).toContain('control plane ended by itself (killed by SIGKILL); its last lines:');
    await nothingLeft();
  });
});
