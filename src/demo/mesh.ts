/** The processes of the demo, started in order and ended in reverse. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callAdmin } from '../dataplane/envoy-admin.ts';
import { lookUpProgram } from '../dataplane/machine.ts';
import { waitFor } from '../lib/wait.ts';
import { callHttp, createDemoApi, type DemoApi } from './api.ts';
import { type Child, startChild } from './child.ts';
import {
  BACKEND,
  controlPlaneConfig,
  type DemoPorts,
  dataplaneDocuments,
  MESH,
  meshDocument,
  namePorts,
  PORT_COUNT,
  permissionDocument,
} from './documents.ts';
import { DemoError } from './error.ts';
import type { WatchedProxy } from './observe.ts';
import { findFreePorts } from './ports.ts';

const STOP_GRACE_MS = 6000;
/** A unix socket path has 107 characters at most, and ours need 50 below this. */
const LONGEST_TMPDIR = 50;

export interface DemoMesh extends AsyncDisposable {
  readonly dir: string;
  readonly ports: DemoPorts;
  readonly api: DemoApi;
  readonly proxies: readonly WatchedProxy[];
  startControlPlane(): Promise<void>;
  /** mTLS with leaves that live `lifetime`, and the permission for `web` to call `api`. */
  applyResources(lifetime: string): Promise<void>;
  /** PEM bundle of the mesh's CA. */
  meshCa(): Promise<string>;
  startServices(): Promise<void>;
  /** Both proxies at once; resolves with the first answer of `api` through both, after so many milliseconds. */
  startProxies(envoyPath: string): Promise<number>;
  /** Rejects with `child_ended` when a process ended by itself; never resolves. */
  readonly failed: Promise<never>;
}

export interface DemoMeshOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True: the folder with configuration, store and logs stays. */
  readonly keepFiles: boolean;
  readonly signal: AbortSignal;
}

/** Makes the folder and chooses ports; nothing runs yet. Closing it ends all processes and removes the folder. */
export async function createDemoMesh(options: DemoMeshOptions): Promise<DemoMesh> {
  const dir = mkdtempSync(join(tmpdir().length > LONGEST_TMPDIR ? '/tmp' : tmpdir(), 'weft-up-'));
  const removeDir = () => {
    if (!options.keepFiles) rmSync(dir, { recursive: true, force: true });
  };
  // Also when the process is ended by force; the children get SIGTERM from the kernel then.
  process.once('exit', removeDir);
  const ports = namePorts(await findFreePorts(PORT_COUNT));
  const api = createDemoApi(`http://127.0.0.1:${ports.api}`);
  const dataplanes = dataplaneDocuments(ports);
  const children: Child[] = [];
  const fail = Promise.withResolvers<never>();
  fail.promise.catch(() => {});
  // Ends what still waits when the mesh is closed.
  const closing = new AbortController();
  const waiting = AbortSignal.any([closing.signal, options.signal]);

  const setpriv = lookUpProgram('setpriv', options.env) ?? '';
  const start = (name: string, args: readonly string[]) => {
    const logFile = join(dir, `${name.replaceAll(' ', '-')}.log`);
    const child = startChild({ name, args, env: cleanEnvironment(options.env), logFile, setpriv });
    child.failed.catch((error: unknown) => fail.reject(error));
    children.push(child);
  };
  const until = <T>(what: string, timeoutMs: number, everyMs: number, check: () => Promise<T | undefined>) =>
    Promise.race([poll(what, timeoutMs, everyMs, waiting, check), fail.promise]);
  const close = async () => {
    closing.abort();
    // Proxies first, while the control plane still runs and sees them go.
    for (const group of [children.filter(({ name }) => name.startsWith('proxy')), children]) {
      await Promise.all(group.map((child) => child.stop(STOP_GRACE_MS)));
    }
    process.off('exit', removeDir);
    removeDir();
  };

  return {
    dir,
    ports,
    api,
    failed: fail.promise,
    proxies: Object.keys(dataplanes).map((name) => ({
      name,
      certificates: () => callAdmin(join(dir, name, 'admin.sock'), 'GET', '/certs', 2000).then(({ body }) => body),
    })),
    async startControlPlane() {
      const file = join(dir, 'control-plane.yaml');
      writeFileSync(file, JSON.stringify(controlPlaneConfig(ports, join(dir, 'control-plane')), null, 2));
      start('control plane', [entry('weft'), 'cp', 'run', '-c', file]);
      await until('the control plane is ready', 30_000, 20, async () => {
        const { status } = await callHttp(`http://127.0.0.1:${ports.diagnostics}/ready`, 'GET');
        return status === 200 || undefined;
      });
    },
    async applyResources(lifetime) {
      await api.put(`/meshes/${MESH}`, meshDocument(lifetime));
      await api.put(`/meshes/${MESH}/meshtrafficpermissions/web-to-api`, permissionDocument());
    },
    async meshCa() {
      const secret = (await api.get(`/meshes/${MESH}/secrets/${MESH}.ca-builtin-cert-${BACKEND}`)) as { data: string };
      return Buffer.from(secret.data, 'base64').toString('utf8');
    },
    async startServices() {
      start('service api', [entry('demo-service'), 'api', String(ports.apiService)]);
      start('service web', [entry('demo-service'), 'web', String(ports.webService), String(ports.webOutbound)]);
      await until('the service api answers', 10_000, 20, async () => {
        const { status } = await callHttp(`http://127.0.0.1:${ports.apiService}/served`, 'GET');
        return status === 200 || undefined;
      });
    },
    async startProxies(envoyPath) {
      const tokens = await Promise.all(
        Object.keys(dataplanes).map((name) => api.post('/tokens/dataplane', { mesh: MESH, name, validFor: '24h' })),
      );
      const startedAt = performance.now();
      for (const [index, [name, document]] of Object.entries(dataplanes).entries()) {
        mkdirSync(join(dir, name), { mode: 0o700 });
        const resource = join(dir, name, 'dataplane.json');
        const token = join(dir, name, 'token');
        writeFileSync(resource, JSON.stringify(document, null, 2));
        writeFileSync(token, tokens[index]!, { mode: 0o600 });
        start(`proxy ${name}`, [entry('weft'), 'dp', 'run', ...proxyFlags(dir, name, ports, envoyPath)]);
      }
      return until('web reaches api through both proxies', 30_000, 10, async () => {
        const { status } = await callHttp(`http://127.0.0.1:${ports.webService}/`, 'GET');
        return status === 200 ? performance.now() - startedAt : undefined;
      });
    },
    [Symbol.asyncDispose]: close,
  };
}

function proxyFlags(dir: string, name: string, ports: DemoPorts, envoyPath: string): string[] {
  const flags = {
    'cp-address': `https://127.0.0.1:${ports.dataplanes}`,
    'ca-cert-file': join(dir, 'control-plane', 'ca.pem'),
    'dataplane-file': join(dir, name, 'dataplane.json'),
    'dataplane-token-file': join(dir, name, 'token'),
    'config-dir': join(dir, name),
    'binary-path': envoyPath,
    'drain-time': '0s',
    'readiness-port': '0',
    concurrency: '1',
  };
  return Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
}

/** The entry file of that name, compiled or, when run from the sources, as it is. */
function entry(name: string): string {
  const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../bin/${name}.${suffix}`, import.meta.url));
}

/** Without settings that are meant for a control plane or proxy of the user's own. */
function cleanEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:KUMA|WEFT|KMESH)_/.test(name)));
}

async function poll<T>(
  what: string,
  timeoutMs: number,
  everyMs: number,
  signal: AbortSignal,
  check: () => Promise<T | undefined>,
): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs;
  let last: unknown;
  while (!signal.aborted && performance.now() < giveUpAt) {
    try {
      const value = await check();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    await waitFor(everyMs, signal);
  }
  throw new DemoError(
    'timeout',
    `wait until ${what}: not within ${timeoutMs / 1000} s; see the logs with --keep-files`,
    { cause: last },
  );
}
