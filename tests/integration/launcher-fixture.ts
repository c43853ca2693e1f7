import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createTestCa, createTestLeaf } from '../../src/testing/certificates.ts';

/** A control plane that knows `POST /bootstrap` only and gives every proxy the same Envoy: an admin socket and one listener. */
export interface BootstrapFixture extends AsyncDisposable {
  readonly url: string;
  /** PEM to trust it with. */
  readonly caCert: string;
  /** Bodies received, oldest first. */
  readonly requests: readonly Record<string, unknown>[];
  /** Answers given instead of a bootstrap, one a request, before bootstraps begin. */
  refuseNext(status: number, body: string): void;
}

export async function startBootstrapFixture(listenerPort: number): Promise<BootstrapFixture> {
  const ca = await createTestCa({ uriSans: [] });
  const leaf = await createTestLeaf(ca, { uriSans: [], dnsSans: ['localhost'] });
  const requests: Record<string, unknown>[] = [];
  const refusals: { status: number; body: string }[] = [];
  const server: Server = createServer({ cert: leaf.pem, key: leaf.keyPem }, async (incoming, outgoing) => {
    let text = '';
    for await (const chunk of incoming.setEncoding('utf8')) text += chunk;
    const refusal = refusals.shift();
    if (refusal) {
      outgoing.writeHead(refusal.status, { 'content-type': 'text/plain' }).end(refusal.body);
      return;
    }
    const request = JSON.parse(text) as Record<string, unknown>;
    requests.push(request);
    const bootstrap = JSON.stringify(envoyBootstrap(String(request['adminSocketPath']), listenerPort));
    outgoing.setHeader('content-type', 'application/json');
    outgoing.end(JSON.stringify({ bootstrap: Buffer.from(bootstrap).toString('base64') }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    caCert: ca.pem,
    requests,
    refuseNext: (status, body) => void refusals.push({ status, body }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function envoyBootstrap(adminSocket: string, port: number): unknown {
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'test',
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'ok' } } }],
        },
      ],
    },
    http_filters: [
      {
        name: 'router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
  };
  return {
    admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
    static_resources: {
      listeners: [
        {
          name: 'inbound:test',
          traffic_direction: 'INBOUND',
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
        },
      ],
    },
  };
}

export interface Launcher {
  readonly process: ChildProcess;
  log(): string;
  /** Exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
}

/** `weft dp run` as a process of its own, from the sources or, as users have it, compiled by `make build`. */
export function startLauncher(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  compiled = false,
): Launcher {
  const module = new URL(compiled ? '../../dist/dataplane/run.js' : '../../src/dataplane/run.ts', import.meta.url);
  const entry = `import { dataplaneMain } from ${JSON.stringify(module.href)};
process.exitCode = await dataplaneMain(process.argv.slice(1), { version: '0.0.0-test', gitTag: '', gitCommit: '', buildDate: '' });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', entry, '--', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  const keep = (chunk: Buffer) => {
    log += chunk.toString('utf8');
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return {
    process: child,
    log: () => log,
    ended: new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code ?? -1))),
  };
}

/** Process ids whose parent is `pid`. Source: proc(5). */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === pid)
    .map(Number);
}

function parentOf(pid: string): number {
  try {
    return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return -1;
  }
}

/** False once the process is gone, or only its exit code is left. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
