/** A proxy as it is in a Pod: `weft dp bootstrap` writes the bootstrap and ends, then Envoy runs without a launcher. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer as createGrpcServer } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, testEnvoy } from '../../src/testing/envoy.ts';
import { createTestMesh, eventually, http, type TestMesh } from './mesh.ts';

const WEFT = join(import.meta.dirname, '../../dist/bin/weft.js');
/** Not the address of Envoy's own admin API, as a Pod's is not. */
const ADDRESS = '127.0.0.2';

const envoy = await testEnvoy();

describe.skipIf(envoy === undefined)('Envoy alone', () => {
  let mesh: TestMesh;
  let adminPort: number;
  let proxy: ChildProcess | undefined;
  let probesPort: number;
  let applications: { tcp: Application; grpc: Application };

  beforeAll(async () => {
    mesh = await createTestMesh();
    await mesh.startControlPlane();
    await mesh.put({
      type: 'Mesh',
      name: 'default',
      mtls: { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] },
    });
    const service = await mesh.startService('api');
    [adminPort, probesPort] = [await freePort(), await freePort()];
    applications = { tcp: await listen(createServer()), grpc: await listen(grpcHealth()) };
    const probed = [`/tcp/${applications.tcp.port}`, `/grpc/${applications.grpc.port}/shop.Api`];
    const inbound = [
      {
        port: await freePort(),
        servicePort: service.port,
        serviceAddress: '127.0.0.1',
        tags: { 'kuma.io/service': 'api', 'kuma.io/protocol': 'http' },
      },
    ];
    await mesh.put({
      type: 'Dataplane',
      mesh: 'default',
      name: 'api-1',
      networking: { address: ADDRESS, admin: { port: adminPort }, inbound },
      probes: {
        port: probesPort,
        endpoints: probed.map((path) => ({ path, inboundPath: path, inboundPort: Number(path.split('/')[2]) })),
      },
    });
    await writeFile(
      join(mesh.dir, 'token'),
      await mesh.ok('POST', '/tokens/dataplane', { mesh: 'default', name: 'api-1', validFor: '1h' }),
    );
  });

  afterAll(async () => {
    proxy?.kill('SIGKILL');
    for (const application of Object.values(applications)) application.close();
    await mesh.close();
  });

  it('is ready on the address of the Pod once it has its configuration, certificates included, and not before', async () => {
    const folder = join(mesh.dir, 'alone');
    const flags = {
      'cp-address': `https://127.0.0.1:${mesh.ports.dp}`,
      'ca-cert-file': join(mesh.dir, 'cp', 'ca.pem'),
      name: 'api-1',
      'dataplane-token-file': join(mesh.dir, 'token'),
      'binary-path': envoy!,
      'config-dir': folder,
    };
    await promisify(execFile)(process.execPath, [
      WEFT,
      'dp',
      'bootstrap',
      ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    ]);

    const ready = () => http(`http://${ADDRESS}:${adminPort}/ready`);
    // Without a control plane there is no configuration, and nobody says "ready".
    await mesh.stopControlPlane();
    proxy = spawn(envoy!, [
      '--config-path',
      join(folder, 'bootstrap.yaml'),
      '--disable-hot-restart',
      '--concurrency',
      '1',
    ]);
    await eventually(
      'the admin API of Envoy',
      10_000,
      async () => (await http(`http://127.0.0.1:${adminPort}/server_info`)).status === 200,
    );
    await expect(ready()).rejects.toMatchObject({ code: 'ECONNREFUSED' });

    await mesh.startControlPlane();
    await eventually('readiness', 20_000, async () => (await ready()).status === 200);
    const certificates = await http(`http://127.0.0.1:${adminPort}/certs`);
    expect(certificates.body).toContain('spiffe://default/api');
    // Nothing else of the admin API is open there.
    await expect(http(`http://${ADDRESS}:${adminPort}/server_info`)).resolves.toMatchObject({ status: 404 });
  });

  it.each([
    ['tcp', ''],
    ['grpc', '/shop.Api'],
  ] as const)('answers a %s probe as the application does', async (protocol, service) => {
    const { port, close } = applications[protocol];
    const asked = async () => (await http(`http://${ADDRESS}:${probesPort}/${protocol}/${port}${service}`)).status;
    await eventually('a probe that succeeds', 10_000, async () => (await asked()) === 200);
    close();
    await eventually('a probe that fails', 10_000, async () => (await asked()) === 503);
  });
});

interface Application {
  readonly port: number;
  close(): void;
}

/** On the address of the Pod, as an application that a kubelet can probe. */
async function listen(server: Server): Promise<Application> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, ADDRESS, resolve));
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, close };
}

/** Says SERVING for `shop.Api`. Source: gRPC health checking protocol, `grpc.health.v1.Health/Check`. */
function grpcHealth(): Server {
  const server = createGrpcServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.on('data', (request: Buffer) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      const status = request.includes('shop.Api') ? 1 : 2;
      stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, status]));
    });
  });
  return server;
}
