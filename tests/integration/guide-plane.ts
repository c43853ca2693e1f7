import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../src/testing/envoy.ts';
import { createGuideShell, type GuideShell, WEFT_FUNCTION } from '../e2e/guide-shell.ts';
import { type ControlPlaneFixture, startControlPlane } from './control-plane-fixture.ts';

const WAIT_MS = 60_000;

/** What the guides about certificates begin with: mTLS from `ca-1`, proxies `web-1` and `api-1`, and a shell whose `weft` reaches the control plane. */
export interface GuidePlane extends AsyncDisposable {
  readonly plane: ControlPlaneFixture;
  readonly shell: GuideShell;
}

export async function startGuidePlane(): Promise<GuidePlane> {
  const plane = await startControlPlane();
  await eventually('the mesh', async () => (await plane.ask('GET', '/meshes/default')).ok, WAIT_MS);
  const mtls = { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] };
  await plane.api('PUT', '/meshes/default', { type: 'Mesh', name: 'default', mtls });
  const envoys = [
    await plane.connect({ name: 'web-1', service: 'web' }),
    await plane.connect({ name: 'api-1', service: 'api' }),
  ];
  await eventually('certificates', async () => envoys.every(({ leafAt }) => leafAt > 0), WAIT_MS);
  const url = `http://127.0.0.1:${plane.info.apiPort}`;
  const context = {
    controlPlanes: [{ name: 'guide', coordinates: { apiServer: { url } } }],
    contexts: [{ name: 'guide', controlPlane: 'guide' }],
    currentContext: 'guide',
  };
  mkdirSync(join(plane.folder, '.weft'), { recursive: true });
  writeFileSync(join(plane.folder, '.weft', 'config'), JSON.stringify(context));
  const { KUBECONFIG: _cluster, ...env } = process.env;
  const shell = createGuideShell(WEFT_FUNCTION, { ...env, HOME: plane.folder, WEFT_API: url });
  return {
    plane,
    shell,
    async [Symbol.asyncDispose]() {
      await shell[Symbol.asyncDispose]();
      await plane[Symbol.asyncDispose]();
    },
  };
}
