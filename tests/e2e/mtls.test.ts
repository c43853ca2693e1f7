import { createPrivateKey, X509Certificate } from 'node:crypto';
import { connect as connectPlain } from 'node:net';
import { connect, type SecureContextOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf } from '../../src/testing/certificates.ts';
import { parsePrivateKey } from '../../src/x509/key.ts';
import {
  allowAll,
  builtinMesh,
  createTestMesh,
  eventually,
  freePort,
  http,
  type TestMesh,
  type TestProxy,
} from './mesh.ts';

const HOUR_MS = 3_600_000;

interface Pem {
  readonly cert: string;
  readonly key: string;
}

/** A leaf with the SPIFFE ID of `web`, signed by `ca`, or by a CA that nobody knows. `from` and `to` are offsets from now in ms. */
async function leaf(options: { ca?: Pem; trustDomain?: string; from?: number; to?: number }): Promise<Pem> {
  const { ca, trustDomain = 'default', ...dates } = options;
  const issuer =
    ca === undefined
      ? await createTestCa()
      : { der: new X509Certificate(ca.cert).raw, pem: ca.cert, keys: parsePrivateKey(ca.key), keyPem: ca.key };
  const made = await createTestLeaf(issuer, {
    uriSans: [`spiffe://${trustDomain}/web`, 'kuma://kuma.io/service/web'],
    from: -HOUR_MS,
    ...dates,
  });
  return { cert: made.pem, key: made.keyPem };
}

/** What an inbound answers to one HTTP request over TLS with this client certificate: the status line, or why there was none. */
function callWithCertificate(port: number, client: Pem | undefined, serverCa: string): Promise<string> {
  const credentials: SecureContextOptions = client
    ? { cert: client.cert, key: createPrivateKey(client.key).export({ type: 'pkcs8', format: 'pem' }) }
    : {};
  return new Promise((resolve) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      ALPNProtocols: ['kuma'],
      ca: serverCa,
      checkServerIdentity: () => undefined,
      ...credentials,
    });
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer within 5 s')));
    socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n'));
    socket.once('data', (data: Buffer) => {
      resolve(data.toString('utf8').split('\r\n')[0]!);
      socket.destroy();
    });
    socket.once('error', (error) => resolve(`refused: ${error.message}`));
    socket.once('close', () => resolve('refused: closed without an answer'));
  });
}

/** The same without TLS. */
function callPlain(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectPlain({ host: '127.0.0.1', port }, () =>
      socket.write('GET / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n'),
    );
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer within 5 s')));
    socket.once('data', (data: Buffer) => {
      resolve(data.toString('utf8').split('\r\n')[0]!);
      socket.destroy();
    });
    socket.once('error', (error) => resolve(`refused: ${error.message}`));
    socket.once('close', () => resolve('refused: closed without an answer'));
  });
}

async function caOf(mesh: TestMesh, name: string): Promise<Pem> {
  const read = async (secret: string) =>
    Buffer.from(
      (await mesh.ok('GET', `/meshes/${name}/secrets/${name}.ca-builtin-${secret}-ca-1`)).data,
      'base64',
    ).toString('utf8');
  return { cert: await read('cert'), key: await read('key') };
}

describe('mTLS between two proxies', () => {
  let mesh: TestMesh;
  let api: TestProxy;
  let web: TestProxy;
  let webToApi: string;

  beforeAll(async () => {
    mesh = await createTestMesh();
    await mesh.startControlPlane();
    await mesh.put(builtinMesh());
    await mesh.put(builtinMesh({ name: 'other' }));
    await mesh.put(allowAll());
    const service = await mesh.startService('api');
    api = await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: service.port });
    web = await mesh.startProxy({ name: 'web-1', service: 'web', calls: ['api'] });
    webToApi = `http://127.0.0.1:${web.outbounds.get('api')}/`;
    await eventually(`web reaches api`, 30_000, async () => (await http(webToApi)).status === 200).catch((error) => {
      throw new Error(`${error.message}\n${mesh.controlPlaneLog().slice(-4000)}\n${web.log().slice(-4000)}`, {
        cause: error,
      });
    });
  });
  afterAll(() => mesh?.close());

  it("lets api's Envoy see the SPIFFE ID of web", async () => {
    const { clientCertificate } = JSON.parse((await http(webToApi)).body);
    expect(clientCertificate).toContain('URI=spiffe://default/web');
  });

  it('says in the API who issued what until when', async () => {
    const overview = await eventually('insight has the certificate', 10_000, async () => {
      const found = await mesh.ok('GET', '/meshes/default/dataplanes/web-1/_overview');
      return found.dataplaneInsight?.mTLS && found;
    });
    expect(overview.dataplaneInsight.mTLS).toMatchObject({
      issuedBackend: 'ca-1',
      supportedBackends: ['ca-1'],
      certificateRegenerations: 1,
    });
    const insight = await eventually('mesh insight counts them', 10_000, async () => {
      const found = await mesh.ok('GET', '/mesh-insights/default');
      return found.mTLS?.issuedBackends?.['ca-1']?.online === 2 && found;
    });
    expect(insight.mTLS.supportedBackends['ca-1'].total).toBe(2);
  });

  it('accepts a leaf of the mesh CA made by hand, so that the refusals below mean something', async () => {
    const ca = await caOf(mesh, 'default');
    expect(await callWithCertificate(api.inboundPort, await leaf({ ca }), ca.cert)).toContain('200');
  });

  it.each([
    ['no certificate', async () => undefined],
    ["a stranger's, with the right SPIFFE ID", () => leaf({})],
    ["one of another mesh's CA", async () => leaf({ ca: await caOf(mesh, 'other'), trustDomain: 'other' })],
    ["one of another mesh's CA with this mesh's SPIFFE ID", async () => leaf({ ca: await caOf(mesh, 'other') })],
    ['an expired one', async () => leaf({ ca: await caOf(mesh, 'default'), from: -3 * HOUR_MS, to: -HOUR_MS })],
    [
      'one that is not yet valid',
      async () => leaf({ ca: await caOf(mesh, 'default'), from: HOUR_MS, to: 2 * HOUR_MS }),
    ],
    [
      "one of the mesh's CA for another trust domain",
      async () => leaf({ ca: await caOf(mesh, 'default'), trustDomain: 'elsewhere' }),
    ],
  ])('refuses %s', async (_what, make) => {
    const ca = await caOf(mesh, 'default');
    expect(await callWithCertificate(api.inboundPort, await make(), ca.cert)).toMatch(/^refused/);
  });

  it('refuses plaintext in STRICT and takes it in PERMISSIVE', async () => {
    expect(await callPlain(api.inboundPort)).toMatch(/^refused/);
    await mesh.put(builtinMesh({ mode: 'PERMISSIVE' }));
    await eventually('plaintext is taken', 10_000, async () => (await callPlain(api.inboundPort)).includes('200'));
    expect((await http(webToApi)).status).toBe(200);
    await mesh.put(builtinMesh({ mode: 'STRICT' }));
    await eventually('plaintext is refused again', 10_000, async () =>
      (await callPlain(api.inboundPort)).startsWith('refused'),
    );
    expect((await http(webToApi)).status).toBe(200);
  });

  describe('permissions', () => {
    const permission = (action: string, name = 'allow-all') => ({
      ...allowAll(),
      name,
      spec: { from: [{ targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': 'web' } }, default: { action } }] },
    });
    const status = async () => (await http(webToApi)).status;

    it('denies when no permission is left', async () => {
      await mesh.ok('DELETE', '/meshes/default/meshtrafficpermissions/allow-all');
      await eventually('denied', 10_000, async () => (await status()) === 403);
    });
    it('allows by service', async () => {
      await mesh.put(permission('Allow'));
      await eventually('allowed', 10_000, async () => (await status()) === 200);
    });
    it('denies by service', async () => {
      await mesh.put(permission('Deny'));
      await eventually('denied', 10_000, async () => (await status()) === 403);
    });
    it('only counts with AllowWithShadowDeny', async () => {
      await mesh.put(permission('AllowWithShadowDeny'));
      await eventually('allowed', 10_000, async () => (await status()) === 200);
      await eventually('shadow denials are counted', 10_000, async () => {
        await status();
        const { body } = await mesh.api('GET', '/meshes/default/dataplanes/api-1/stats');
        return /rbac\.[^\n]*shadow_denied: [1-9]/.test(body);
      });
    });
    it('follows rules with SPIFFE IDs', async () => {
      await mesh.put({
        ...allowAll(),
        spec: { rules: [{ default: { allow: [{ spiffeID: { type: 'Exact', value: 'spiffe://default/nobody' } }] } }] },
      });
      await eventually('denied', 10_000, async () => (await status()) === 403);
      await mesh.put({
        ...allowAll(),
        spec: { rules: [{ default: { allow: [{ spiffeID: { type: 'Prefix', value: 'spiffe://default' } }] } }] },
      });
      await eventually('allowed', 10_000, async () => (await status()) === 200);
    });
  });

  it("reaches Envoy's admin API only through the control plane", async () => {
    const clusters = await mesh.api('GET', '/meshes/default/dataplanes/web-1/clusters');
    expect(clusters.status).toBe(200);
    expect(clusters.body).toContain('api::');
    const dump = await mesh.api('GET', '/meshes/default/dataplanes/web-1/xds');
    expect(dump.status).toBe(200);
    expect(dump.body).not.toMatch(/PRIVATE KEY|BEGIN CERTIFICATE.*PRIVATE/);
  });

  it('leaves the other resources flowing when Envoy refuses one, and says so in the API', async () => {
    const taken = await mesh.startService('occupant');
    const worker = await mesh.startProxy({ name: 'worker-1', service: 'worker', calls: ['api'] });
    const workerToApi = `http://127.0.0.1:${worker.outbounds.get('api')}/`;
    await mesh.put(allowAll());
    await eventually('worker reaches api', 20_000, async () => (await http(workerToApi)).status === 200);
    const dataplane = await mesh.ok('GET', '/meshes/default/dataplanes/worker-1');
    const extra = (port: number) => ({ port, tags: { 'kuma.io/service': 'api' } });
    const second = await freePort();
    dataplane.networking.outbound.push(extra(taken.port), extra(second));
    await mesh.put(dataplane);
    await eventually(
      'the good listener works',
      15_000,
      async () => (await http(`http://127.0.0.1:${second}/`)).status === 200,
    );
    expect((await http(workerToApi)).status).toBe(200);
    await eventually('the refusal is in the API', 15_000, async () => {
      const { dataplaneInsight } = await mesh.ok('GET', '/meshes/default/dataplanes/worker-1/_overview');
      const rejections: { names: string[]; message: string }[] = dataplaneInsight?.weft?.rejections ?? [];
      const counted = dataplaneInsight?.subscriptions?.at(-1)?.status?.lds?.responsesRejected;
      return (
        counted !== undefined &&
        rejections.some((rejection) => rejection.names.some((name) => name.endsWith(`:${taken.port}`)))
      );
    });
    await worker.stop();
  });
});

it('gives proxies RSA certificates when it is asked to', async () => {
  const mesh = await createTestMesh({ env: { WEFT_IDENTITY_LEAF_KEY_TYPE: 'rsa-2048' } });
  try {
    await mesh.startControlPlane();
    await mesh.put({
      ...builtinMesh(),
      mtls: {
        enabledBackend: 'ca-1',
        backends: [{ name: 'ca-1', type: 'builtin', conf: { caCert: { RSAbits: 2048 } } }],
      },
    });
    await mesh.put(allowAll());
    const service = await mesh.startService('api');
    const api = await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: service.port });
    const web = await mesh.startProxy({ name: 'web-1', service: 'web', calls: ['api'] });
    const url = `http://127.0.0.1:${web.outbounds.get('api')}/`;
    await eventually('web reaches api', 30_000, async () => (await http(url)).status === 200);
    const presented = await new Promise<X509Certificate>((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: api.inboundPort,
        ALPNProtocols: ['kuma'],
        rejectUnauthorized: false,
      });
      socket.once('secureConnect', () => {
        resolve(socket.getPeerX509Certificate()!);
        socket.destroy();
      });
      socket.once('error', reject);
    });
    expect(presented.publicKey.asymmetricKeyType).toBe('rsa');
    const { cert } = await caOf(mesh, 'default');
    expect(new X509Certificate(cert).publicKey.asymmetricKeyType).toBe('rsa');
  } finally {
    await mesh.close();
  }
});
