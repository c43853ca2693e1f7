/**
 * Keys beside the proxy: a real Envoy under `weft dp run`, a control plane, and what each of them knows of the key. For every backend in the list the same.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa } from '../../src/testing/certificates.ts';
import { testEnvoy } from '../../src/testing/envoy.ts';
import { FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../src/testing/openbao.ts';
import { createTestPki } from '../../src/testing/openbao-pki.ts';
import { createTestMesh, eventually, http, type TestMesh, type TestProxy } from '../e2e/mesh.ts';
import { childrenOf } from './launcher-fixture.ts';

const envoy = await testEnvoy();
const noOpenBao = missingOpenBao();
if (noOpenBao !== undefined && process.env['CI'] === 'true') throw new Error(noOpenBao);

let bao: OpenBao;
let acm: FakeAcmPca;

/** Each with its `conf`, and why it can't be here. */
const BACKENDS: readonly { type: string; conf: () => Promise<object>; missing?: string | undefined }[] = [
  { type: 'builtin', conf: async () => ({}) },
  {
    type: 'provided',
    async conf() {
      const { pem, keyPem } = await createTestCa({ subject: 'CN=company root' });
      return { cert: { inlineString: pem }, key: { inlineString: keyPem } };
    },
  },
  {
    type: 'vault',
    missing: noOpenBao,
    conf: async () => (await createTestPki(bao, { mesh: 'keys-vault' })).config().conf,
  },
  {
    // Its CSR has a common name, so the launcher makes two by the same key.
    type: 'acmpca',
    conf: async () => ({
      arn: acm.arn,
      endpoint: acm.endpoint,
      commonName: '{{ tag "kuma.io/service" }}.mesh',
      auth: {
        awsCredentials: {
          accessKey: { inlineString: FAKE_CREDENTIALS.accessKeyId },
          accessKeySecret: { inlineString: FAKE_CREDENTIALS.secretAccessKey },
        },
      },
    }),
  },
];

const WAIT_MS = 60_000;

describe.skipIf(envoy === undefined)('keys beside the proxy', () => {
  let mesh: TestMesh;
  beforeAll(async () => {
    acm = await startFakeAcmPca();
    if (noOpenBao === undefined) bao = await startOpenBao();
    mesh = await createTestMesh({ config: { weft: { ca: { allowedEndpoints: ['127.0.0.1', 'localhost'] } } } });
    await mesh.startControlPlane();
  });
  afterAll(async () => {
    await mesh?.close();
    await bao?.close();
    await acm?.close();
  });

  for (const backend of BACKENDS) {
    describe.skipIf(backend.missing !== undefined)(`with a ${backend.type} backend`, () => sameFor(backend));
  }

  function sameFor({ type, conf }: (typeof BACKENDS)[number]): void {
    const name = `keys-${type}`;
    let proxy: TestProxy;
    const folder = () => join(mesh.dir, name);
    const identity = () => JSON.parse(readFileSync(join(folder(), 'identity.json'), 'utf8'));
    /** What Envoy's inbound presents; `undefined` while it presents nothing. */
    const presented = () => presentedBy(proxy.inboundPort);
    const certificate = () => mesh.ok('GET', `/meshes/${name}/dataplanes/web-1/_certificate`);
    /** Resolves when Envoy presents a leaf, another one than `former`, and the control plane has been told so. */
    const inPlace = (former = '') =>
      eventually('Envoy presents the leaf that is held for it', WAIT_MS, async () => {
        const shown = await presented();
        const { dataplaneInsight } = await mesh.ok('GET', `/meshes/${name}/dataplanes/web-1/_overview`);
        const acknowledged = dataplaneInsight?.weft?.acknowledged?.certificate?.serial;
        const isNew = shown !== undefined && shown.serial !== former && shown.serial === acknowledged;
        return isNew && (await certificate()).serial === shown.serial && shown;
      });
    const startProxy = async () => {
      proxy = await mesh.startProxy({
        name: 'web-1',
        service: 'web',
        mesh: name,
        flags: ['--config-dir', folder()],
        ...(proxy && { inboundPort: proxy.inboundPort }),
      });
    };
    /** Leaves that this control plane has issued for the mesh since it started. */
    const issued = async () => {
      const { body } = await http(`http://127.0.0.1:${mesh.ports.diagnostics}/metrics`);
      return Number(new RegExp(`^cert_generation\\{mesh="${name}"\\} (\\d+)`, 'm').exec(body)?.[1] ?? 0);
    };

    beforeAll(async () => {
      await mesh.put({
        type: 'Mesh',
        name,
        mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type, conf: await conf() }] },
      });
      await startProxy();
    });
    afterAll(() => proxy?.stop('SIGKILL'));

    it('certifies a key that only the proxy has', async () => {
      const { leaf, names } = await inPlace();
      expect(names).toContain(`URI:spiffe://${name}/web`);
      expect(statSync(join(folder(), 'identity.json')).mode & 0o777).toBe(0o600);
      const { keyPem } = identity().leaf;
      expect(leaf.checkPrivateKey(createPrivateKey(keyPem))).toBe(true);
      expect(await certificate()).toMatchObject({ keys: 'proxy', state: 'valid', generation: 1 });
      const { dataplaneInsight } = await mesh.ok('GET', `/meshes/${name}/dataplanes/web-1/_overview`);
      expect(dataplaneInsight.weft.certificate.keys).toBe('proxy');
      // Nothing that the control plane wrote, says or logs has a line of it.
      const secrets = secretForms(keyPem);
      const answers = ['_certificate', '_overview', '_config', 'xds', 'clusters', 'stats'].map(async (path) => {
        return (await mesh.api('GET', `/meshes/${name}/dataplanes/web-1/${path}`)).body;
      });
      const texts = [
        ...(await Promise.all(answers)),
        mesh.controlPlaneLog(),
        proxy.log(),
        ...filesIn(join(mesh.dir, 'cp')),
      ];
      for (const text of texts) for (const secret of secrets) expect(text.includes(secret)).toBe(false);
    });

    it('keeps the leaf when the launcher, the control plane or both start again', async () => {
      const { serial } = await inPlace();
      const before = await issued();
      await proxy.stop();
      await startProxy();
      expect((await inPlace()).serial).toBe(serial);
      expect(await issued()).toBe(before);

      await mesh.stopControlPlane();
      expect((await presented())?.serial).toBe(serial);
      await mesh.startControlPlane();
      expect((await inPlace()).serial).toBe(serial);

      await mesh.stopControlPlane('SIGKILL');
      await proxy.stop('SIGKILL');
      await mesh.startControlPlane();
      await startProxy();
      expect((await inPlace()).serial).toBe(serial);
      expect(await issued()).toBe(0);
    });

    it('gives the leaf to the next Envoy when one dies', async () => {
      const { serial } = await inPlace();
      const [child] = childrenOf(proxy.process.pid!);
      process.kill(child!, 'SIGKILL');
      await eventually('another Envoy runs', WAIT_MS, async () => {
        const [next] = childrenOf(proxy.process.pid!);
        return next !== undefined && next !== child;
      });
      expect((await inPlace()).serial).toBe(serial);
    });

    it('issues once when the key is lost', async () => {
      const { serial } = await inPlace();
      const before = await issued();
      await proxy.stop('SIGKILL');
      rmSync(join(folder(), 'identity.json'));
      await startProxy();
      await inPlace(serial);
      expect(await issued()).toBe(before + 1);
      expect((await mesh.ok('GET', `/meshes/${name}/dataplanes/web-1/_certificate`)).history[0].reason).toBe(
        'key-lost',
      );
    });

    it('renews with a new key', async () => {
      const { serial, leaf } = await inPlace();
      const { keyPem } = identity().leaf;
      await mesh.ok('POST', `/meshes/${name}/dataplanes/web-1/_certificate/_renew`, {});
      const next = await inPlace(serial);
      expect(next.leaf.publicKey.equals(leaf.publicKey)).toBe(false);
      expect(identity().leaf.keyPem).not.toBe(keyPem);
      expect(next.leaf.checkPrivateKey(createPrivateKey(identity().leaf.keyPem))).toBe(true);
    });
  }

  it('leaves the key with the control plane where that is asked for', async () => {
    await mesh.put({
      type: 'Mesh',
      name: 'plain',
      mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] },
    });
    const flags = ['--keys', 'control-plane'];
    const proxy = await mesh.startProxy({ name: 'web-1', service: 'web', mesh: 'plain', flags });
    await eventually('Envoy presents a leaf', WAIT_MS, () => presentedBy(proxy.inboundPort));
    expect(await mesh.ok('GET', '/meshes/plain/dataplanes/web-1/_certificate')).toMatchObject({
      keys: 'control-plane',
    });
    await proxy.stop('SIGKILL');
  });
});

interface Presented {
  readonly leaf: X509Certificate;
  /** Lower-case hex. */
  readonly serial: string;
  readonly names: string;
}

function presentedBy(port: number): Promise<Presented | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ALPNProtocols: ['kuma'], rejectUnauthorized: false });
    socket.setTimeout(5000, () => socket.destroy());
    socket.once('secureConnect', () => {
      const leaf = new X509Certificate(socket.getPeerCertificate().raw);
      resolve({ leaf, serial: leaf.serialNumber.toLowerCase(), names: leaf.subjectAltName ?? '' });
      socket.destroy();
    });
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
}

/** The forms in which a private key would be seen: the lines of its PEM, and its secret number as base64 and hex. */
function secretForms(keyPem: string): readonly string[] {
  const { d = '' } = createPrivateKey(keyPem).export({ format: 'jwk' });
  const lines = keyPem.split('\n').filter((line) => line.length > 30 && !line.startsWith('-----'));
  const number = Buffer.from(d, 'base64url');
  return [...lines.slice(1, 2), d, number.toString('base64').slice(0, 40), number.toString('hex')];
}

/** Every file as text that shows each byte. */
function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
}
