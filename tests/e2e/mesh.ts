/**
 * A whole mesh for one test: `weft cp run` and `weft dp run` as processes, real Envoys, services in the test process.
 * Everything lives in one temporary directory and ends with `close()`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, eventually as poll } from '../../src/testing/envoy.ts';

const WEFT = join(import.meta.dirname, '../../dist/bin/weft.js');

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export { freePort };

/** As `eventually` of the unit tests, with the time limit before a long check. */
export function eventually<T>(
  what: string,
  timeoutMs: number,
  check: () => Promise<T | undefined | false>,
): Promise<T> {
  return poll(what, check, timeoutMs);
}

/** One HTTP request without retries; rejects when there is no HTTP answer. */
export function http(
  url: string,
  options: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const body =
      options.body === undefined
        ? undefined
        : typeof options.body === 'string'
          ? options.body
          : JSON.stringify(options.body);
    const call = request(
      url,
      {
        method: options.method ?? 'GET',
        agent: false,
        timeout: 10_000,
        headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...options.headers },
      },
      (response: IncomingMessage) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
        response.on('error', reject);
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer within 10 s')));
    call.on('error', reject);
    call.end(body);
  });
}

export interface ProxyOptions {
  readonly name: string;
  readonly service: string;
  readonly protocol?: string;
  readonly mesh?: string;
  /** Port of the program behind the inbound. */
  readonly servicePort?: number;
  /** Outbound services; the ports come back in `outbounds`. */
  readonly calls?: readonly string[];
  readonly tags?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Where the proxy finds its control plane, when it is not the mesh's own port. */
  readonly cpPort?: number;
  /** Default: a free one. */
  readonly inboundPort?: number;
  /** Further flags of `weft dp run`. */
  readonly flags?: readonly string[];
}

export interface TestProxy {
  readonly name: string;
  readonly mesh: string;
  readonly inboundPort: number;
  /** Service name to local port. */
  readonly outbounds: ReadonlyMap<string, number>;
  readonly process: ChildProcess;
  log(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface TestMesh {
  readonly dir: string;
  readonly apiUrl: string;
  readonly ports: { readonly api: number; readonly dp: number; readonly diagnostics: number };
  api(method: string, path: string, body?: unknown): Promise<Answer>;
  /** `api` that must answer 2xx; gives the parsed body. */
  // biome-ignore lint/suspicious/noExplicitAny: answers of the API are looked into by hand in tests
  ok(method: string, path: string, body?: unknown): Promise<any>;
  put(resource: { type: string; name: string; mesh?: string } & Record<string, unknown>): Promise<void>;
  startControlPlane(): Promise<void>;
  stopControlPlane(signal?: NodeJS.Signals): Promise<void>;
  controlPlaneLog(): string;
  controlPlanePid(): number | undefined;
  startProxy(options: ProxyOptions): Promise<TestProxy>;
  /** An HTTP service in this process; answers `name` and what Envoy says of the client. */
  startService(name: string): Promise<{ port: number; requests: () => number }>;
  close(): Promise<void>;
}

const COLLECTIONS: Readonly<Record<string, string>> = {
  Mesh: 'meshes',
  Dataplane: 'dataplanes',
  Secret: 'secrets',
  MeshTrafficPermission: 'meshtrafficpermissions',
};

export async function createTestMesh(
  options: { store?: 'memory' | 'sqlite'; config?: Record<string, unknown>; env?: Record<string, string> } = {},
): Promise<TestMesh> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-e2e-'));
  const ports = { api: await freePort(), dp: await freePort(), diagnostics: await freePort() };
  const apiUrl = `http://127.0.0.1:${ports.api}`;
  const configFile = join(dir, 'control-plane.yaml');
  await writeFile(
    configFile,
    JSON.stringify({
      store: { type: options.store ?? 'sqlite' },
      general: { workDir: join(dir, 'cp') },
      apiServer: { http: { port: ports.api, interface: '127.0.0.1' }, https: { enabled: false } },
      dpServer: { port: ports.dp },
      diagnostics: { serverPort: ports.diagnostics },
      ...options.config,
    }),
  );
  const services: Server[] = [];
  const proxies: TestProxy[] = [];
  let controlPlane: Child | undefined;

  const mesh: TestMesh = {
    dir,
    apiUrl,
    ports,
    api: (method, path, body) => http(`${apiUrl}${path}`, { method, body }),
    async ok(method, path, body) {
      const answer = await mesh.api(method, path, body);
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
      return answer.body.startsWith('{') || answer.body.startsWith('[') ? JSON.parse(answer.body) : answer.body;
    },
    async put(resource) {
      const collection = COLLECTIONS[resource.type];
      const path =
        resource.type === 'Mesh'
          ? `/meshes/${resource.name}`
          : `/meshes/${resource.mesh}/${collection}/${resource.name}`;
      await mesh.ok('PUT', path, resource);
    },
    async startControlPlane() {
      controlPlane = startChild(['cp', 'run', '-c', configFile], { ...options.env });
      await eventually(`control plane answers (log: ${dir})`, 30_000, async () => {
        if (controlPlane?.process.exitCode !== null) throw new Error(`control plane ended: ${controlPlane?.log()}`);
        return (await http(`http://127.0.0.1:${ports.diagnostics}/ready`)).status === 200;
      });
    },
    async stopControlPlane(signal = 'SIGTERM') {
      await controlPlane?.stop(signal);
      controlPlane = undefined;
    },
    controlPlaneLog: () => controlPlane?.log() ?? '',
    controlPlanePid: () => controlPlane?.process.pid,
    async startProxy(proxy) {
      const started = await startProxy(mesh, dir, proxy);
      proxies.push(started);
      return started;
    },
    async startService(name) {
      let requests = 0;
      const server = createServer((incoming, outgoing) => {
        requests += 1;
        incoming.resume();
        outgoing.setHeader('content-type', 'application/json');
        outgoing.end(JSON.stringify({ name, clientCertificate: incoming.headers['x-forwarded-client-cert'] ?? '' }));
      });
      server.keepAliveTimeout = 60_000;
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      services.push(server);
      return { port: (server.address() as AddressInfo).port, requests: () => requests };
    },
    async close() {
      await Promise.all(proxies.map((proxy) => proxy.stop('SIGKILL')));
      await controlPlane?.stop('SIGTERM');
      for (const server of services) {
        server.closeAllConnections();
        server.close();
      }
      await rm(dir, { recursive: true, force: true });
    },
  };
  return mesh;
}

interface Child {
  readonly process: ChildProcess;
  log(): string;
  stop(signal: NodeJS.Signals): Promise<void>;
}

function startChild(args: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
  const child = spawn(process.execPath, [WEFT, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  const keep = (chunk: Buffer) => {
    log = (log + chunk.toString('utf8')).slice(-200_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    process: child,
    log: () => log,
    async stop(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
    },
  };
}

async function startProxy(mesh: TestMesh, dir: string, options: ProxyOptions): Promise<TestProxy> {
  const meshName = options.mesh ?? 'default';
  const inboundPort = options.inboundPort ?? (await freePort());
  const outbounds = new Map<string, number>();
  for (const service of options.calls ?? []) outbounds.set(service, await freePort());
  const dataplane = {
    type: 'Dataplane',
    mesh: meshName,
    name: options.name,
    networking: {
      address: '127.0.0.1',
      admin: { port: await freePort() },
      inbound: [
        {
          port: inboundPort,
          servicePort: options.servicePort ?? (await freePort()),
          serviceAddress: '127.0.0.1',
          tags: { 'kuma.io/service': options.service, 'kuma.io/protocol': options.protocol ?? 'http', ...options.tags },
        },
      ],
      outbound: [...outbounds].map(([service, port]) => ({ port, tags: { 'kuma.io/service': service } })),
    },
  };
  const file = join(dir, `${options.name}.json`);
  const tokenFile = join(dir, `${options.name}.token`);
  await writeFile(file, JSON.stringify(dataplane));
  const token = await mesh.ok('POST', '/tokens/dataplane', { mesh: meshName, name: options.name, validFor: '24h' });
  await writeFile(tokenFile, token);
  const child = startChild(
    [
      'dp',
      'run',
      '--cp-address',
      `https://127.0.0.1:${options.cpPort ?? mesh.ports.dp}`,
      '--ca-cert-file',
      join(dir, 'cp', 'ca.pem'),
      '--dataplane-file',
      file,
      '--dataplane-token-file',
      tokenFile,
      '--drain-time',
      '1s',
      ...(options.flags ?? []),
    ],
    { KUMA_READINESS_PORT: '0', ...options.env },
  );
  return {
    name: options.name,
    mesh: meshName,
    inboundPort,
    outbounds,
    process: child.process,
    log: child.log,
    stop: (signal = 'SIGTERM') => child.stop(signal),
  };
}

/** Constant-rate requests without retries; every answer is counted. */
export function startTraffic(
  url: string,
  perSecond: number,
): { stop(): Promise<{ sent: number; ok: number; failures: readonly string[] }>; ok(): number } {
  let sent = 0;
  let ok = 0;
  const failures: string[] = [];
  const open = new Set<Promise<void>>();
  const started = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - started) / 1000) * perSecond);
    while (sent < due) {
      sent += 1;
      const call = http(url).then(
        (answer) => {
          if (answer.status === 200) ok += 1;
          else failures.push(`${new Date().toISOString()} ${answer.status} ${answer.body.slice(0, 200)}`);
        },
        (error: Error) => {
          failures.push(`${new Date().toISOString()} ${error.message}`);
        },
      );
      open.add(call);
      void call.then(() => open.delete(call));
    }
  }, 5);
  return {
    ok: () => ok,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      return { sent, ok, failures };
    },
  };
}

/** mTLS of `default` from one builtin backend. */
export function builtinMesh(options: { mode?: 'STRICT' | 'PERMISSIVE'; expiration?: string; name?: string } = {}) {
  return {
    type: 'Mesh',
    name: options.name ?? 'default',
    mtls: {
      enabledBackend: 'ca-1',
      backends: [
        {
          name: 'ca-1',
          type: 'builtin',
          ...(options.mode ? { mode: options.mode } : {}),
          ...(options.expiration ? { dpCert: { rotation: { expiration: options.expiration } } } : {}),
        },
      ],
    },
  };
}

export function allowAll(mesh = 'default') {
  return {
    type: 'MeshTrafficPermission',
    mesh,
    name: 'allow-all',
    spec: { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] },
  };
}
