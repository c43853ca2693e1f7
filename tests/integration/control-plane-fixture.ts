import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/control-plane/config.ts';
import { type ControlPlaneInfo, runControlPlane } from '../../src/control-plane/run.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createEnvoy, type SimulatedEnvoy } from '../bench/fleet/envoy.ts';
import { createReferenceReader } from '../bench/fleet/references.ts';
import { type Result, runCli } from './cli-fixture.ts';

/** A whole Universal control plane in this process, on a memory store and free ports, with simulated Envoys. */
export interface ControlPlaneFixture extends AsyncDisposable {
  readonly info: ControlPlaneInfo;
  /** Folder for files of the test. */
  readonly folder: string;
  /** One API call that must succeed; its JSON. */
  api(method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown): Promise<Record<string, unknown>>;
  /** Any answer of the API. */
  ask(method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown): Promise<Response>;
  /** Stores a Dataplane of one service and connects an Envoy for it. */
  connect(proxy: { readonly name: string; readonly service: string }): Promise<SimulatedEnvoy>;
  /** Runs `weft` in this process against the API. */
  weft(...argv: string[]): Promise<Result>;
}

export async function startControlPlane(env: Readonly<Record<string, string>> = {}): Promise<ControlPlaneFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-cp-'));
  const stop = new AbortController();
  const ready = Promise.withResolvers<ControlPlaneInfo>();
  const settings = {
    HOME: folder,
    KUMA_STORE_TYPE: 'memory',
    KUMA_GENERAL_WORK_DIR: folder,
    KUMA_API_SERVER_HTTP_PORT: '0',
    KUMA_API_SERVER_HTTPS_ENABLED: 'false',
    KUMA_DP_SERVER_PORT: '0',
    KUMA_DIAGNOSTICS_SERVER_PORT: '0',
    ...env,
  };
  const running = runControlPlane({
    config: loadConfig({ env: settings }).config,
    env: settings,
    signal: stop.signal,
    log: silentLogger,
    onReady: ready.resolve,
  });
  running.catch(ready.reject);
  const info = await ready.promise;
  const url = `http://127.0.0.1:${info.apiPort}`;
  const references = createReferenceReader();
  const envoys: SimulatedEnvoy[] = [];

  const ask: ControlPlaneFixture['ask'] = (method, path, body) =>
    fetch(`${url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });

  async function text(method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown): Promise<string> {
    const answer = await ask(method, path, body);
    const content = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${content}`);
    return content;
  }

  return {
    info,
    folder,
    ask,
    api: async (method, path, body) => JSON.parse(await text(method, path, body)) as Record<string, unknown>,
    async connect({ name, service }) {
      const inbound = [{ port: 80, tags: { 'kuma.io/service': service } }];
      const dataplane = { type: 'Dataplane', mesh: 'default', name, networking: { address: '127.0.0.1', inbound } };
      await text('PUT', `/meshes/default/dataplanes/${name}`, dataplane);
      const envoy = createEnvoy({
        node: { id: `default.${name}`, cluster: service, metadata: {} },
        url: `https://127.0.0.1:${info.dataplanePort}`,
        authorization: await text('POST', '/tokens/dataplane', { mesh: 'default', name, validFor: '1h' }),
        protocol: 'delta',
        alwaysNode: false,
        references,
      });
      envoys.push(envoy);
      return envoy;
    },
    weft: (...argv) => runCli([...argv, '--cp-address', url], folder),
    async [Symbol.asyncDispose]() {
      for (const envoy of envoys) envoy.close();
      stop.abort();
      await running.catch(() => undefined);
      rmSync(folder, { recursive: true });
    },
  };
}
