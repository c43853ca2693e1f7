import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execute } from '../../src/cli/main.ts';
import { createRestFixture, type RestFixture, type RestFixtureOptions } from '../../src/testing/rest-fixture.ts';

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliFixture {
  readonly api: RestFixture;
  readonly url: string;
  /** Set when the options asked for HTTPS. */
  readonly httpsUrl: string | undefined;
  /** Home folder of the commands; removed on close. */
  readonly home: string;
  /** Runs `weft` in this process against the API. */
  weft(argv: readonly string[], options?: RunOptions): Promise<Result>;
  close(): Promise<void>;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Leave out `--cp-address`. */
  readonly noAddress?: boolean;
}

/** Runs one command line with a home folder of its own. */
export async function runCli(argv: readonly string[], home: string, options: RunOptions = {}): Promise<Result> {
  let stdout = '';
  let stderr = '';
  const code = await execute(argv, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    readStdin: async () => options.stdin ?? '',
    env: options.env ?? {},
    home,
    now: Date.now,
    interactive: false,
    terminal: false,
    signal: new AbortController().signal,
  });
  return { code, stdout, stderr };
}

/** An API on a memory store that listens on a free port, with the mesh `default`. */
export async function startCliFixture(options: RestFixtureOptions = {}): Promise<CliFixture> {
  const home = mkdtempSync(join(tmpdir(), 'weft-cli-'));
  const api = await createRestFixture({
    ...options,
    server: { http: { host: '127.0.0.1', port: 0 }, ...options.server },
  });
  const { http, https } = await api.server.listen();
  const url = `http://127.0.0.1:${http!.port}`;
  await api.seed('Mesh', 'default', {});
  return {
    api,
    url,
    httpsUrl: https && `https://127.0.0.1:${https.port}`,
    home,
    weft: (argv, run = {}) => runCli(run.noAddress === true ? argv : [...argv, '--cp-address', url], home, run),
    close: async () => {
      await api.server.close();
      rmSync(home, { recursive: true });
    },
  };
}
