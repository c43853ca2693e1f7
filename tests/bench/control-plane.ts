/** Starts and stops a control plane as a process of its own, ours or the peer, with the same configuration file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { monotonicMs } from './fleet/envoy.ts';
import type { Protocol } from './fleet/messages.ts';
import { cpuSeconds, memoryMb } from './process-use.ts';

export type StoreKind = 'memory' | 'sqlite' | 'kubernetes';

/** Which program is measured. */
export interface Program {
  /** `weft`, or the file name of the peer. */
  readonly name: string;
  /** Path of the peer; absent for ours. */
  readonly peer?: string;
}

export const WEFT: Program = { name: 'weft' };

export interface ControlPlane {
  readonly program: Program;
  readonly api: string;
  readonly dataplaneUrl: string;
  readonly pid: number;
  /** Its working directory; removed by `stop`. */
  readonly directory: string;
  /** Monotonic ms when the process was spawned, and when `/ready` answered 200 first. */
  readonly spawnedAt: number;
  readonly readyAt: number;
  cpuSeconds(): number;
  memoryMb(): { rss: number; peak: number };
  /** `kill -9`, then the same again on the same ports and store. Resolves when it is ready. */
  killAndRestart(): Promise<void>;
  /** Stops it and removes its directory. */
  stop(): Promise<void>;
}

const REPOSITORY = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** How our program is called. */
export const WEFT_COMMAND: readonly string[] = [process.execPath, join(REPOSITORY, 'dist/bin/weft.js')];

/** A free port of this machine. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/**
 * Starts it and waits until it is ready. Rejects with the end of its log when it ends or takes longer than a minute.
 * `env` goes before the configuration file.
 */
export async function startControlPlane(
  program: Program,
  store: StoreKind,
  protocol: Protocol,
  env: Readonly<Record<string, string>> = {},
): Promise<ControlPlane> {
  const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  const [api, dataplane, diagnostics, other, monitoring] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const config = {
    mode: 'zone',
    environment: store === 'kubernetes' ? 'kubernetes' : 'universal',
    general: { workDir: directory },
    store: { type: store },
    apiServer: { http: { interface: '127.0.0.1', port: api }, https: { enabled: false } },
    dpServer: { port: dataplane },
    diagnostics: { serverPort: diagnostics },
    ...(program.peer
      ? { interCp: { server: { port: other } }, monitoringAssignmentServer: { port: monitoring } }
      : { weft: { log: { level: process.env['BENCH_LOG'] ?? 'warn' } } }),
  };
  const file = join(directory, 'config.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const log = join(directory, 'log.txt');

  let child: ChildProcess;
  let spawnedAt = 0;
  let readyAt = 0;

  async function launch(): Promise<void> {
    spawnedAt = monotonicMs();
    const [command, ...args] = program.peer ? [program.peer] : [...WEFT_COMMAND, 'cp'];
    child = spawn(command!, [...args, 'run', '-c', file, ...(program.peer ? ['--log-level', 'info'] : [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...env,
        ...(program.peer ? { KUMA_EXPERIMENTAL_DELTA_XDS: String(protocol === 'delta') } : {}),
      },
    });
    const out = createWriteStream(log, { flags: 'a' });
    child.stdout!.pipe(out);
    child.stderr!.pipe(out);
    const tail: string[] = [];
    child.stderr!.on('data', (part: Buffer) => {
      tail.push(part.toString());
      if (tail.length > 20) tail.shift();
    });
    while (!(await answers(`http://127.0.0.1:${diagnostics}/ready`)) || !(await answers(`http://127.0.0.1:${api}/`))) {
      if (child.exitCode !== null)
        throw new Error(`start ${program.name}: it ended with ${child.exitCode}\n${tail.join('')}`);
      if (monotonicMs() - spawnedAt > 60_000)
        throw new Error(`start ${program.name}: not ready after a minute\n${tail.join('')}`);
      await sleep(5);
    }
    readyAt = monotonicMs();
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  try {
    await launch();
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
  return {
    program,
    api: `http://127.0.0.1:${api}`,
    dataplaneUrl: `https://127.0.0.1:${dataplane}`,
    directory,
    get pid() {
      return child.pid!;
    },
    get spawnedAt() {
      return spawnedAt;
    },
    get readyAt() {
      return readyAt;
    },
    cpuSeconds: () => cpuSeconds(child.pid!),
    memoryMb: () => memoryMb(child.pid!),
    async killAndRestart() {
      await end('SIGKILL');
      await launch();
    },
    async stop() {
      await Promise.race([end('SIGTERM'), sleep(10_000)]);
      await end('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
