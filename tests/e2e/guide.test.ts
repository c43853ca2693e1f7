import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { freePort } from './mesh.ts';

const ROOT = join(import.meta.dirname, '../..');

let home: string;
let children: ChildProcess[];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'weft-guide-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    try {
      process.kill(-child.pid!, 'SIGTERM');
    } catch {
      // It ended by itself.
    }
  }
  await Promise.all(children.map((child) => child.exitCode ?? new Promise((resolve) => child.once('exit', resolve))));
  await rm(home, { recursive: true, force: true });
});

/** The shell blocks of a guide, in order, with their ports replaced by free ones. */
async function readBlocks(guide: string): Promise<{ script: string; background: boolean }[]> {
  let text = await readFile(join(ROOT, guide), 'utf8');
  const ports = new Map<string, number>();
  for (const port of ['5678', '5680', '5681', '8080', '8090', '10080', '10081']) ports.set(port, await freePort());
  for (const [port, free] of ports) text = text.replaceAll(new RegExp(`(?<=[:\\s])${port}\\b`, 'g'), String(free));
  await mkdir(join(home, '.weft'));
  await writeFile(join(home, '.weft', 'config'), context(`http://localhost:${ports.get('5681')}`));
  const exports = [
    `export KUMA_DP_SERVER_PORT=${ports.get('5678')} KUMA_DIAGNOSTICS_SERVER_PORT=${ports.get('5680')}`,
    `export KUMA_API_SERVER_HTTP_PORT=${ports.get('5681')} KUMA_API_SERVER_HTTPS_ENABLED=false`,
    `weft() { "${process.execPath}" "${ROOT}/dist/bin/weft.js" "$@"; }`,
  ];
  return [...text.matchAll(/^```sh( background)?\n(.*?)^```$/gms)].map(([, background, script]) => ({
    background: background !== undefined,
    script: `set -euo pipefail\n${exports.join('\n')}\n${withExamples(script!, ports)}`,
  }));
}

/** A CLI context, so that the commands of the guide reach this control plane without a flag. */
const context = (url: string) =>
  JSON.stringify({
    controlPlanes: [{ name: 'guide', coordinates: { apiServer: { url } } }],
    contexts: [{ name: 'guide', controlPlane: 'guide' }],
    currentContext: 'guide',
  });

/** The example files hold the ports of the guide too: each use becomes a rewritten copy. */
function withExamples(script: string, ports: ReadonlyMap<string, number>): string {
  const edits = ['8080', '8090', '10080', '10081'].map((port) => `s/\\b${port}\\b/${ports.get(port)}/`).join(';');
  return script.replaceAll(/docs\/examples\/(dataplane-\w+\.yaml)/g, (path) => `<(sed '${edits}' ${path})`);
}

/** Files that a reader would make in the current folder. */
const inHome = (script: string) => script.replaceAll(/\w+-1\.token/g, (name) => `${home}/${name}`);

function run(script: string): ChildProcess {
  const child = spawn('bash', ['-c', script], {
    cwd: ROOT,
    env: {
      ...process.env,
      HOME: home,
      XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? home, '.cache'),
    },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

async function finish(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, output };
}

it('every command of docs/guides/universal.md works', async () => {
  let output = '';
  for (const { script, background } of await readBlocks('docs/guides/universal.md')) {
    if (background) {
      const child = run(inHome(script));
      for (const stream of [child.stdout!, child.stderr!]) stream.resume();
      continue;
    }
    const result = await finish(run(inHome(script)));
    output += result.output;
    expect(result.code, `${script}\n${result.output}`).toBe(0);
  }
  expect(output).toMatch(/default +builtin\/ca-1/);
  expect(output).toMatch(/web-1 .*Online/);
  expect(output).toContain('mtls.enabledBackend');
}, 120_000);
