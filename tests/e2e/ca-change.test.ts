import { afterAll, beforeAll, expect, it } from 'vitest';
import { FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../src/testing/openbao.ts';
import { createTestPki } from '../../src/testing/openbao-pki.ts';
import { type Backend, CA_CHANGES_TIMEOUT_MS, COMPANY, changeCas } from './ca-changes.ts';
import { allowAll, createTestMesh, type TestMesh } from './mesh.ts';

const noOpenBao = missingOpenBao();
if (noOpenBao !== undefined && process.env['CI'] === 'true') throw new Error(noOpenBao);

let mesh: TestMesh;
let bao: OpenBao | undefined;
let acm: FakeAcmPca;

beforeAll(async () => {
  bao = noOpenBao === undefined ? await startOpenBao() : undefined;
  acm = await startFakeAcmPca();
  mesh = await createTestMesh({ config: { weft: { ca: { allowedEndpoints: ['127.0.0.1', 'localhost'] } } } });
  await mesh.startControlPlane();
}, 120_000);
afterAll(async () => {
  await mesh?.close();
  await bao?.close();
  await acm?.close();
});

it(
  'F8 all: from one CA to the next and back under traffic, 0 failed',
  async () => {
    const awsCredentials = {
      accessKey: { inlineString: FAKE_CREDENTIALS.accessKeyId },
      accessKeySecret: { inlineString: FAKE_CREDENTIALS.secretAccessKey },
    };
    const backends: Backend[] = [
      { name: 'builtin-1', type: 'builtin' },
      { name: 'builtin-2', type: 'builtin' },
      COMPANY,
      ...(bao === undefined ? [] : [{ name: 'vault', type: 'vault', conf: (await createTestPki(bao)).config().conf }]),
      { name: 'acm', type: 'acmpca', conf: { arn: acm.arn, endpoint: acm.endpoint, auth: { awsCredentials } } },
    ];
    await mesh.put(allowAll());
    await changeCas({
      mesh,
      backends,
      putMtls: (mtls) => mesh.put({ type: 'Mesh', name: 'default', mtls }),
      async putSecret(name, text) {
        await mesh.put({ type: 'Secret', mesh: 'default', name, data: Buffer.from(text).toString('base64') });
      },
    });
    expect(mesh.controlPlaneLog()).not.toContain('PRIVATE KEY');
  },
  CA_CHANGES_TIMEOUT_MS,
);
