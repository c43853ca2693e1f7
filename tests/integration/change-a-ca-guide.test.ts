import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventually } from '../../src/testing/envoy.ts';
import { createGuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from '../e2e/guide-shell.ts';
import { startControlPlane } from './control-plane-fixture.ts';

const SECONDS = 60_000;

it('every command of docs/guides/change-a-ca.md works', async () => {
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
  await using shell = createGuideShell(WEFT_FUNCTION, { ...env, HOME: plane.folder });
  let output = '';
  for (const { script } of shellBlocks(readFileSync(join(ROOT, 'docs/guides/change-a-ca.md'), 'utf8'))) {
    const result = await shell.run(script.replaceAll('mesh.yaml', join(plane.folder, 'mesh.yaml')));
    output += result.output;
    expect(result.code, `${script}\n${result.output}`).toBe(0);
  }
  for (const way of ['ca-1 -> ca-2', 'ca-2 -> ca-1', 'new CA of ca-2']) expect(output).toContain(`${way}: Done`);
  const { mtls: left } = await plane.api('GET', '/meshes/default');
  expect(left).toMatchObject({ enabledBackend: 'ca-2', backends: [{ name: 'ca-2' }] });
}, 180_000);
