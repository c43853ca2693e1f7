import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AdminAnswer, callAdmin } from '../dataplane/envoy-admin.ts';
import { ensureEnvoy } from '../dataplane/envoy-binary.ts';
import { completeDataplaneOptions } from '../dataplane/flags.ts';
import { createLineLogger } from '../dataplane/line-log.ts';
import { runDataplane } from '../dataplane/run.ts';
import { findFreePorts } from '../demo/ports.ts';

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const [port] = await findFreePorts(1);
  return port!;
}

/**
 * Envoy for a test: the one of `weft dp run` (PATH, cache, else fetched). `undefined`, with the reason on stderr, when this machine
 * can't have one; under `CI=true` that is an error.
 */
export async function testEnvoy(): Promise<string | undefined> {
  try {
    return await ensureEnvoy({ env: process.env, signal: AbortSignal.timeout(300_000) });
  } catch (error) {
    if (process.env['CI'] === 'true') throw error;
    process.stderr.write(`no Envoy for tests: ${error instanceof Error ? error.message : error}\n`);
    return undefined;
  }
}

/** Polls `check` until it gives something; rejects after `timeoutMs` with `what` and the last error. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 10_000,
): Promise<T> {
  const until = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last });
}

export interface EnvoyOptions {
  /** `https://localhost:<port>` */
  readonly cpAddress: string;
  /** PEM. */
  readonly caCert: string;
  /** A whole resource with type, mesh and name. Absent: the control plane has it; `flags` say `mesh` and `name`. */
  readonly dataplane?: Readonly<Record<string, unknown>>;
  readonly token?: string;
  /** Default: `testEnvoy`'s. */
  readonly binaryPath?: string;
  /** Default `0s`. */
  readonly drainTime?: string;
  /** Further flags of `weft dp run`, by name. */
  readonly flags?: Readonly<Record<string, string>>;
}

/** A real Envoy under a launcher in this process. */
export interface TestEnvoy extends AsyncDisposable {
  readonly workdir: string;
  /** One call of its admin API over its unix socket. */
  admin(path: string, method?: 'GET' | 'POST'): Promise<AdminAnswer>;
  /** Resolves when Envoy has its configuration and takes traffic. */
  ready(timeoutMs?: number): Promise<void>;
  /** Log lines so far, the launcher's and Envoy's. */
  log(): readonly string[];
  /** Drains and stops; rejects when the launcher had failed. */
  stop(): Promise<void>;
}

/** Runs Envoy against a control plane, as `weft dp run` does. */
export function startEnvoy(options: EnvoyOptions): TestEnvoy {
  const workdir = mkdtempSync(join(tmpdir(), 'weft-test-'));
  const resource = join(workdir, 'dataplane.json');
  if (options.dataplane !== undefined) writeFileSync(resource, JSON.stringify(options.dataplane));
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const drain = new AbortController();
  const flags = {
    'cp-address': options.cpAddress,
    ...(options.dataplane && { 'dataplane-file': resource }),
    'config-dir': workdir,
    'readiness-port': '0',
    'drain-time': options.drainTime ?? '0s',
    concurrency: '2',
    ...(options.binaryPath && { 'binary-path': options.binaryPath }),
    ...(options.token && { 'dataplane-token': options.token }),
    ...options.flags,
  };
  const running = runDataplane(completeDataplaneOptions(flags, { KUMA_CONTROL_PLANE_CA_CERT: options.caCert }), {
    env: process.env,
    log: createLineLogger('debug', write, 'dataplane'),
    envoyLog: createLineLogger('debug', write, 'envoy'),
    launcher: { version: '0.0.0-test', gitTag: '', gitCommit: '', buildDate: '' },
    screen: { isTTY: false, write },
    readStdin: async () => '',
    random: Math.random,
    randomName: randomBytes(8).toString('hex'),
    drain: drain.signal,
    stop: new AbortController().signal,
  });
  // Its failure is told by stop() and ready(); until then it must not end the test process.
  let failure: unknown;
  running.catch((error: unknown) => {
    failure = error;
  });
  const admin: TestEnvoy['admin'] = (path, method = 'GET') => callAdmin(join(workdir, 'admin.sock'), method, path);
  const stop = async () => {
    drain.abort();
    try {
      await running;
    } finally {
      rmSync(workdir, { recursive: true, force: true });
    }
  };
  return {
    workdir,
    admin,
    async ready(timeoutMs) {
      await eventually(
        `Envoy in ${workdir} is ready`,
        async () => failure !== undefined || (await admin('/ready')).body.trim() === 'LIVE',
        timeoutMs,
      );
      if (failure !== undefined) throw failure;
    },
    log: () => lines,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
