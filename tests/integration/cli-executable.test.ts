import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const home = mkdtempSync(join(tmpdir(), 'weft-executable-'));
afterAll(() => rmSync(home, { recursive: true }));
const executable = new URL('../../src/bin/weft.ts', import.meta.url).pathname;

/** Prints each module that is loaded, on file descriptor 3. */
const hook = join(home, 'hook.mjs');
writeFileSync(
  hook,
  "import { registerHooks } from 'node:module';\nimport { writeSync } from 'node:fs';\n" +
    'registerHooks({ load(url, context, next) { writeSync(3, url + String.fromCharCode(10)); return next(url, context); } });\n',
);

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly modules: string;
}

function weft(argv: readonly string[], onStdout: (text: string, stop: () => void) => void = () => {}): Promise<Run> {
  const child = spawn(process.execPath, ['--no-warnings', '--import', hook, executable, ...argv], {
    env: { PATH: process.env['PATH'], HOME: home },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const texts = ['', '', '', ''];
  for (const index of [1, 2, 3]) {
    child.stdio[index]!.on('data', (chunk: Buffer) => {
      texts[index] += chunk.toString();
      // Once: a second signal ends the process at once, with 1.
      if (index !== 3) onStdout(texts[index]!, () => child.killed || child.kill('SIGTERM'));
    });
  }
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, stdout: texts[1]!, stderr: texts[2]!, modules: texts[3]! }));
  });
}

describe('what is loaded', () => {
  it('is no parser, schema or server library for `dp run`', async () => {
    const { code, stdout, modules } = await weft(['dp', 'run', '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('--dataplane-token-file');
    expect(modules).toContain('src/dataplane/run.ts');
    expect(modules).not.toContain('/node_modules/');
  });

  it('is only the command-line parser for `version`', async () => {
    const { code, modules } = await weft(['version', '--cp-address', 'http://127.0.0.1:1']);
    expect(code).toBe(0);
    const packages = [...modules.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].map((match) => match[1]);
    expect(new Set(packages)).toEqual(new Set(['commander']));
  });
});

describe('exit codes', () => {
  it('are 2 for a wrong command line, with the nearest right one', async () => {
    const wrong = await weft(['gett']);
    expect(wrong).toMatchObject({ code: 2, stderr: "error: unknown command 'gett'; did you mean get?\n" });
    const option = await weft(['get', 'meshes', '--ouput', 'json', '-o', 'json']);
    expect(option.code).toBe(2);
    expect(JSON.parse(option.stderr)).toEqual({
      error: { code: 'usage', message: "unknown option '--ouput'", fields: [], next: 'did you mean --output?' },
    });
    expect((await weft(['get', '-o', 'xml'])).code).toBe(2);
  });

  it('are 1 for a configuration that cannot be used', async () => {
    const file = join(home, 'cp.yaml');
    writeFileSync(file, 'store: {typ: memory}\nmode: sideways\n');
    const { code, stderr } = await weft(['cp', 'run', '-c', file]);
    expect(code).toBe(1);
    expect(stderr).toContain('  store.typ: unknown key, did you mean store.type?\n');
    expect(stderr).toContain('  mode: must be one of: zone\n');
  });
});

describe('cp run', () => {
  it('runs with a file until SIGTERM and ends with 0', async () => {
    const file = join(home, 'run.yaml');
    const text = {
      general: { workDir: join(home, 'work') },
      store: { type: 'memory' },
      apiServer: { http: { port: 0, interface: '127.0.0.1' }, https: { enabled: false } },
      dpServer: { port: 0 },
      diagnostics: { serverPort: 0 },
      weft: { interfaces: { dpServer: '127.0.0.1', diagnostics: '127.0.0.1' } },
      reports: { enabled: true },
    };
    writeFileSync(file, JSON.stringify(text));
    const { code, stderr } = await weft(['cp', 'run', '-c', file], (seen, stop) => {
      if (seen.includes('control plane is ready')) stop();
    });
    expect(stderr).toContain('warning: reports.enabled has no effect: usage reports are never sent');
    expect(stderr).toContain('control plane is stopping');
    expect(code).toBe(0);
  });

  it('says which store is up to date with `cp migrate up`', async () => {
    const file = join(home, 'migrate.yaml');
    writeFileSync(file, JSON.stringify({ general: { workDir: join(home, 'migrated') } }));
    const { code, stdout } = await weft(['cp', 'migrate', 'up', '-c', file]);
    expect(code).toBe(0);
    expect(stdout).toBe(`store sqlite ${join(home, 'migrated', 'weft.db')} is up to date\n`);
  });
});
