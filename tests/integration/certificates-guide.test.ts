import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventually } from '../../src/testing/envoy.ts';
import { createGuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from '../e2e/guide-shell.ts';
import { startControlPlane } from './control-plane-fixture.ts';

const SECONDS = 60_000;

it('every command of docs/guides/certificates.md works', async () => {
  await using plane = await startControlPlane();
  await eventually('the mesh', async () => (await plane.ask('GET', '/meshes/default')).ok, SECONDS);
  const mtls = { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] };
  await plane.api('PUT', '/meshes/default', { type: 'Mesh', name: 'default', mtls });
  const envoys = [
    await plane.connect({ name: 'web-1', service: 'web' }),
    await plane.connect({ name: 'api-1', service: 'api' }),
  ];
  await eventually('certificates', async () => envoys.every(({ leafAt }) => leafAt > 0), SECONDS);
  const url = `http://127.0.0.1:${plane.info.apiPort}`;
  const context = {
    controlPlanes: [{ name: 'guide', coordinates: { apiServer: { url } } }],
    contexts: [{ name: 'guide', controlPlane: 'guide' }],
    currentContext: 'guide',
  };
  mkdirSync(join(plane.folder, '.weft'), { recursive: true });
  writeFileSync(join(plane.folder, '.weft', 'config'), JSON.stringify(context));
  const { KUBECONFIG: _cluster, ...env } = process.env;
  await using shell = createGuideShell(WEFT_FUNCTION, { ...env, HOME: plane.folder, WEFT_API: url });
  let output = '';
  for (const { script } of shellBlocks(readFileSync(join(ROOT, 'docs/guides/certificates.md'), 'utf8'))) {
    // Renewals are limited, and a reader is slower than a test.
    const result = await eventually(
      script,
      async () => {
        const one = await shell.run(script);
        return !one.output.includes('try again in') && one;
      },
      SECONDS,
    );
    output += result.output;
    expect(result.code, `${script}\n${result.output}`).toBe(0);
  }
  expect(output).toContain('the certificate of web-1 is renewed');
  expect(output).toMatch(/✓ handshake/);
}, 180_000);
