import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MOTO_ENVIRONMENT, MOTO_REGION, type Moto, missingMoto, startMoto } from '../../src/testing/moto.ts';
import { createGuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from './guide-shell.ts';
import { freePort } from './mesh.ts';

const missing = missingMoto();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

let home: string;
let moto: Moto;
beforeEach(async () => {
  if (missing !== undefined) return;
  home = await mkdtemp(join(tmpdir(), 'weft-acm-guide-'));
  moto = await startMoto();
});
afterEach(async () => {
  await moto?.close();
  if (home !== undefined) await rm(home, { recursive: true, force: true });
});

it.skipIf(missing !== undefined)(
  `every command of docs/guides/acm-private-ca.md works${missing === undefined ? '' : ` (${missing})`}`,
  async () => {
    let text = await readFile(join(ROOT, 'docs/guides/acm-private-ca.md'), 'utf8');
    const ports = new Map<string, number>();
    for (const port of ['5678', '5680', '5681', '8080', '10080']) ports.set(port, await freePort());
    for (const [port, free] of ports) text = text.replaceAll(new RegExp(`(?<=[:\\s])${port}\\b`, 'g'), String(free));
    // The examples become copies: with the ports of this test, and moto instead of AWS.
    const edits = ['8080', '10080'].map((port) => `s/\\b${port}\\b/${ports.get(port)}/`).join(';');
    const endpoint = `s#^\\( *\\)arn: .*#&\\n\\1endpoint: ${moto.endpoint}#`;
    text = text
      .replaceAll('docs/examples/dataplane-api.yaml', `<(sed '${edits}' ${ROOT}/docs/examples/dataplane-api.yaml)`)
      .replaceAll(
        '-f docs/examples/mesh-acmpca.yaml',
        `-f <(sed '${endpoint}' ${ROOT}/docs/examples/mesh-acmpca.yaml)`,
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
    await using shell = createGuideShell(
      [
        `export KUMA_DP_SERVER_PORT=${ports.get('5678')} KUMA_DIAGNOSTICS_SERVER_PORT=${ports.get('5680')}`,
        `export KUMA_API_SERVER_HTTP_PORT=${ports.get('5681')} KUMA_API_SERVER_HTTPS_ENABLED=false`,
        `export WEFT_CA_ALLOWED_ENDPOINTS=${new URL(moto.endpoint).host}`,
        WEFT_FUNCTION,
        `aws() { python3 -m awscli --endpoint-url ${moto.endpoint} "$@"; }`,
        `cd ${home}`,
      ].join('\n'),
      {
        ...process.env,
        ...MOTO_ENVIRONMENT,
        AWS_DEFAULT_REGION: MOTO_REGION,
        AWS_ACCESS_KEY_ID: 'somebody',
        AWS_SECRET_ACCESS_KEY: 'who may make a CA',
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
    expect(output).toMatch(/about 0 certificates a month: 0 proxies, leaves of 24 h/);
    expect(output).toMatch(/api-1 .* valid/);
  },
  180_000,
);
