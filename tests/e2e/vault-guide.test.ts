import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../src/testing/openbao.ts';
import { createGuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from './guide-shell.ts';
import { freePort } from './mesh.ts';

const missing = missingOpenBao();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

let home: string;
let bao: OpenBao;
beforeEach(async () => {
  if (missing !== undefined) return;
  home = await mkdtemp(join(tmpdir(), 'weft-vault-guide-'));
  bao = await startOpenBao();
});
afterEach(async () => {
  await bao?.close();
  if (home !== undefined) await rm(home, { recursive: true, force: true });
});

it.skipIf(missing !== undefined)(
  `every command of docs/guides/vault.md works${missing === undefined ? '' : ` (${missing})`}`,
  async () => {
    let text = await readFile(join(ROOT, 'docs/guides/vault.md'), 'utf8');
    const ports = new Map<string, number>([['8200', bao.port]]);
    for (const port of ['5678', '5680', '5681', '8090', '10081', '10090', '9902']) ports.set(port, await freePort());
    for (const [port, own] of ports) text = text.replaceAll(new RegExp(`(?<=[:\\s])${port}\\b`, 'g'), String(own));
    // The examples become copies with the ports of this test.
    const edits = [...ports].map(([port, own]) => `s/\\b${port}\\b/${own}/`).join(';');
    text = text.replaceAll(
      /(?<=-f |--dataplane-file )docs\/examples\/([\w-]+\.yaml)/g,
      (path) => `<(sed '${edits}' ${ROOT}/${path})`,
    );
    await mkdir(join(home, '.weft'));
    await writeFile(
      join(home, '.weft', 'config'),
      JSON.stringify({
        controlPlanes: [
          { name: 'guide', coordinates: { apiServer: { url: `http://localhost:${ports.get('5681')}` } } },
        ],
        contexts: [{ name: 'guide', controlPlane: 'guide' }],
        currentContext: 'guide',
      }),
    );
    await writeFile(join(home, 'vault-ca.pem'), bao.caPem);
    await using shell = createGuideShell(
      [
        `export KUMA_DP_SERVER_PORT=${ports.get('5678')} KUMA_DIAGNOSTICS_SERVER_PORT=${ports.get('5680')}`,
        `export KUMA_API_SERVER_HTTP_PORT=${ports.get('5681')} KUMA_API_SERVER_HTTPS_ENABLED=false`,
        WEFT_FUNCTION,
        `vault() { "${bao.program}" "$@"; }`,
        `cd ${home}`,
      ].join('\n'),
      {
        ...process.env,
        BAO_ADDR: bao.address,
        BAO_TOKEN: bao.rootToken,
        BAO_CACERT: join(home, 'vault-ca.pem'),
        HOME: home,
        XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? home, '.cache'),
      },
    );
    let output = '';
    for (const block of shellBlocks(text)) {
      if (block.kind === 'background') {
        shell.background(block.script);
        continue;
      }
      const result = await shell.run(block.script);
      output += result.output;
      expect(result.code, `${block.script}\n${result.output}`).toBe(0);
    }
    expect(output).toMatch(/✓ handshake/);
    expect(output).toMatch(/wants a common name/);
    expect(output).toMatch(/cuts the life of leaves to 1h/);
    expect(output).toMatch(/web-1 .*valid/);
  },
  120_000,
);
