import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answerBootstrap } from '../../src/bootstrap/answer.ts';
import { createTestCa, createTestLeaf } from '../../src/testing/certificates.ts';
import { eventually, freePort, testEnvoy } from '../../src/testing/envoy.ts';

const envoy = await testEnvoy();
const WEFT = fileURLToPath(new URL('../../src/bin/weft.ts', import.meta.url));

/** The port for proxies of a control plane: bootstraps as ours makes them, and the headers of every xDS stream. */
interface Server extends AsyncDisposable {
  readonly url: string;
  readonly caPem: string;
  readonly requests: Record<string, unknown>[];
  readonly tokens: string[];
  /** From then on the Dataplane exists. */
  known: boolean;
  cutStreams(): void;
}

describe.skipIf(envoy === undefined)('weft dp bootstrap', () => {
  const children: ChildProcess[] = [];
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'weft-bootstrap-'));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  it('waits for the Dataplane; Envoy then runs alone and takes a new token to every new stream', async () => {
    await using server = await startServer(await freePort());
    const token = rotatingToken(join(folder, 'token'), 'token-one');
    const run = bootstrap(server, { tokenPath: token.path });
    await eventually('a first try', () => run.log().includes('it knows no such Dataplane'), 20_000);
    server.known = true;
    expect(await run.exit).toBe(0);

    const text = readFileSync(join(folder, 'config/bootstrap.yaml'), 'utf8');
    expect(JSON.stringify(server.requests)).not.toContain('token-one');
    expect(text).not.toContain('token-one');
    expect(server.requests.at(-1)).toMatchObject({
      name: 'web-1.shop',
      mesh: 'default',
      dataplaneTokenPath: token.path,
    });

    children.push(
      spawn(envoy!, ['-c', join(folder, 'config/bootstrap.yaml'), '--disable-hot-restart', '--concurrency', '1']),
    );
    await eventually('the first stream', () => server.tokens.at(-1) === 'token-one', 20_000);
    token.replace('token-two');
    server.cutStreams();
    await eventually('a stream with the new token', () => server.tokens.at(-1) === 'token-two', 20_000);
  });

  it('says what to do when it cannot go on', async () => {
    await using server = await startServer(await freePort());
    server.known = true;
    const noToken = bootstrap(server, { tokenPath: join(folder, 'nowhere') });
    expect(await noToken.exit).toBe(1);
    expect(noToken.log()).toMatch(/read the data plane token from .*nowhere: ENOENT; check --dataplane-token-file/);

    const late = bootstrap(server, {
      env: { KUMA_CONTROL_PLANE_RETRY_MAX_DURATION: '300ms', KUMA_CONTROL_PLANE_URL: 'https://127.0.0.1:1' },
    });
    expect(await late.exit).toBe(1);
    expect(late.log()).toMatch(/ECONNREFUSED.*gave up after \d+ attempts.*check --cp-address/);

    const stranger = bootstrap(server, {
      env: { KUMA_CONTROL_PLANE_CA_CERT: (await createTestCa({ uriSans: [] })).pem },
    });
    expect(await stranger.exit).toBe(1);
    expect(stranger.log()).toContain('verify the certificate of');
  });

  function bootstrap(server: Server, options: { tokenPath?: string; env?: Readonly<Record<string, string>> }) {
    const env = {
      PATH: process.env['PATH'] ?? '',
      KUMA_CONTROL_PLANE_URL: server.url,
      KUMA_CONTROL_PLANE_CA_CERT: server.caPem,
      KUMA_DATAPLANE_MESH: 'default',
      KUMA_DATAPLANE_NAME: 'web-1.shop',
      KUMA_DATAPLANE_RUNTIME_CONFIG_DIR: join(folder, 'config'),
      KUMA_DATAPLANE_RUNTIME_BINARY_PATH: envoy!,
      ...(options.tokenPath && { KUMA_DATAPLANE_RUNTIME_TOKEN_PATH: options.tokenPath }),
      ...options.env,
    };
    let log = '';
    const exit = new Promise<number>((resolve) => {
      const child = execFile(process.execPath, [WEFT, 'dp', 'bootstrap'], { env }, (error) =>
        resolve(error === null ? 0 : Number(error.code)),
      );
      children.push(child);
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (chunk: string) => {
          log += chunk;
        });
    });
    return { exit, log: () => log };
  }
});

/** A file as the kubelet projects it: a link to a folder that is replaced whole. */
function rotatingToken(root: string, first: string) {
  let version = 0;
  const replace = (token: string) => {
    version += 1;
    mkdirSync(join(root, `v${version}`), { recursive: true });
    writeFileSync(join(root, `v${version}/token`), token);
    symlinkSync(`v${version}`, join(root, '..data_tmp'));
    renameSync(join(root, '..data_tmp'), join(root, '..data'));
  };
  replace(first);
  symlinkSync('..data/token', join(root, 'token'));
  return { path: join(root, 'token'), replace };
}

async function startServer(adminPort: number): Promise<Server> {
  const ca = await createTestCa({ uriSans: [] });
  const leaf = await createTestLeaf(ca, { uriSans: [], dnsSans: ['localhost'] });
  const requests: Record<string, unknown>[] = [];
  const tokens: string[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const state = { known: false };
  const http: Http2SecureServer = createSecureServer({ cert: leaf.pem, key: leaf.keyPem, allowHTTP1: true });
  http.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  http.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    tokens.push(String(headers['authorization']));
  });
  http.on('request', async (incoming, outgoing) => {
    if (incoming.httpVersionMajor === 2) return;
    let text = '';
    for await (const chunk of incoming.setEncoding('utf8')) text += chunk;
    const body = JSON.parse(text) as Record<string, unknown>;
    requests.push(body);
    const { port } = http.address() as AddressInfo;
    const answer = await answerBootstrap(
      { body, host: 'localhost', json: true },
      dependencies(state, port, adminPort, ca.pem),
    );
    outgoing.writeHead(answer.status, { 'content-type': answer.contentType }).end(answer.body);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const cutStreams = () => {
    for (const session of sessions) session.destroy();
  };
  return {
    url: `https://localhost:${(http.address() as AddressInfo).port}`,
    caPem: ca.pem,
    requests,
    tokens,
    get known() {
      return state.known;
    },
    set known(known) {
      state.known = known;
    },
    cutStreams,
    async [Symbol.asyncDispose]() {
      cutStreams();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

function dependencies(state: { known: boolean }, port: number, adminPort: number, caPem: string) {
  const meta = { mesh: 'default', name: 'web-1.shop', labels: {}, creationTime: '', modificationTime: '', version: '' };
  const inbound = [{ port: 8080, tags: { 'kuma.io/service': 'web' } }];
  const stored = { type: 'Dataplane', meta, spec: { networking: { address: '10.0.0.1', inbound } } };
  return {
    settings: () => ({
      adminAddress: '127.0.0.1',
      defaultAdminPort: adminPort,
      adminAccessLogPath: '/dev/null',
      xdsHost: '',
      xdsPort: port,
      xdsConnectTimeoutMs: 1000,
      forceDelta: false,
      reloadableTokens: false,
      tokenRequired: true,
    }),
    caPem,
    namesUnlessCovered: () => undefined,
    isNoCa: () => false,
    parseDataplane: () => stored,
    meshExists: async () => true,
    storedDataplane: async () => (state.known ? stored : undefined),
  };
}
