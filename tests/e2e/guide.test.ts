import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createGuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from './guide-shell.ts';
import { freePort } from './mesh.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'weft-guide-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

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

it('every command of docs/guides/universal.md works', async () => {
  let text = await readFile(join(ROOT, 'docs/guides/universal.md'), 'utf8');
  const ports = new Map<string, number>();
  for (const port of ['5678', '5680', '5681', '8080', '8090', '10080', '10081']) ports.set(port, await freePort());
  for (const [port, free] of ports) text = text.replaceAll(new RegExp(`(?<=[:\\s])${port}\\b`, 'g'), String(free));
  await mkdir(join(home, '.weft'));
  await writeFile(join(home, '.weft', 'config'), context(`http://localhost:${ports.get('5681')}`));
  await using shell = createGuideShell(
    [
      `export KUMA_DP_SERVER_PORT=${ports.get('5678')} KUMA_DIAGNOSTICS_SERVER_PORT=${ports.get('5680')}`,
      `export KUMA_API_SERVER_HTTP_PORT=${ports.get('5681')} KUMA_API_SERVER_HTTPS_ENABLED=false`,
      WEFT_FUNCTION,
    ].join('\n'),
    {
      ...process.env,
      HOME: home,
      XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? home, '.cache'),
    },
  );
  let output = '';
  for (const block of shellBlocks(text)) {
    const script = inHome(withExamples(block.script, ports));
    if (block.kind === 'background') {
      shell.background(script);
      continue;
    }
    const result = await shell.run(script);
    output += result.output;
    expect(result.code, `${script}\n${result.output}`).toBe(0);
  }
  expect(output).toMatch(/default +builtin\/ca-1/);
  expect(output).toMatch(/web-1 .*Online/);
  expect(output).toContain('mtls.enabledBackend');
}, 120_000);
