import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lookUpProgram } from '../dataplane/machine.ts';
import { eventually, freePort } from './envoy.ts';

/** One line of an answer: labels, and the number; the last one of a range. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A real Prometheus on a free port of 127.0.0.1, with its data in a temporary directory. */
export interface Prometheus {
  /** Evaluates an expression now. Throws with Prometheus' own words. */
  query(expr: string): Promise<readonly Sample[]>;
  /** `data` of a call below `/api/v1/`. */
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into by hand in tests
  get(path: string): Promise<any>;
  close(): Promise<void>;
}

/** Why there is none to test with, `undefined` when there is. */
export function missingPrometheus(): string | undefined {
  const absent = ['prometheus', 'promtool'].filter((name) => lookUpProgram(name, process.env) === undefined);
  return absent.length === 0 ? undefined : `needs ${absent.join(' and ')} (Debian: apt-get install prometheus)`;
}

/** Scrapes `target` (`host:port`) each second and evaluates the rules of `ruleFiles`. The caller must `close` it. */
export async function startPrometheus(options: { target: string; ruleFiles: readonly string[] }): Promise<Prometheus> {
  const directory = mkdtempSync(join(tmpdir(), 'weft-prometheus-'));
  const port = await freePort();
  const config = join(directory, 'prometheus.yml');
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: options.ruleFiles,
      scrape_configs: [{ job_name: 'weft', static_configs: [{ targets: [options.target] }] }],
    }),
  );
  const child = spawn(
    'prometheus',
    [
      ...[`--config.file=${config}`, `--storage.tsdb.path=${join(directory, 'data')}`, '--log.level=warn'],
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const get: Prometheus['get'] = async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    const answer = (await response.json()) as { status: string; data: unknown; error?: string };
    if (answer.status !== 'success') throw new Error(`ask Prometheus for ${path}: ${answer.error}`);
    return answer.data;
  };
  const close = async () => {
    await ended(child);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await eventually(
      'Prometheus answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`Prometheus ended: ${log}`);
        return get('status/runtimeinfo');
      },
      60_000,
    );
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get,
    close,
    async query(expr) {
      const { result } = await get(`query?query=${encodeURIComponent(expr)}`);
      return (result as { metric: Record<string, string>; value: [number, string] }[]).map(({ metric, value }) => ({
        metric,
        value: Number(value[1]),
      }));
    },
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await over;
}
