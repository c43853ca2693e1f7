/** AWS Private CA behind a whole mesh, on a fake that counts what would be paid. The guide's test has moto, this one has what moto lacks: time. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testEnvoy } from '../../src/testing/envoy.ts';
import { FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { createTestMesh, eventually, type TestMesh } from './mesh.ts';

const envoy = await testEnvoy();

describe.skipIf(envoy === undefined)('a mesh with AWS Private CA', () => {
  let fake: FakeAcmPca;
  let mesh: TestMesh;
  beforeAll(async () => {
    fake = await startFakeAcmPca();
    mesh = await createTestMesh({ config: { weft: { ca: { allowedEndpoints: ['127.0.0.1'] } } } });
    await mesh.startControlPlane();
  });
  afterAll(async () => {
    await mesh?.close();
    await fake?.close();
  });

  it('F6 acmpca: pays one certificate for a proxy though the control plane is killed between asking for it and fetching it', async () => {
    const { accessKeyId, secretAccessKey } = FAKE_CREDENTIALS;
    const awsCredentials = {
      accessKey: { inlineString: accessKeyId },
      accessKeySecret: { inlineString: secretAccessKey },
    };
    const conf = { arn: fake.arn, endpoint: fake.endpoint, auth: { awsCredentials } };
    const backends = [{ name: 'acm-1', type: 'acmpca', conf }];
    await mesh.put({ type: 'Mesh', name: 'default', mtls: { enabledBackend: 'acm-1', backends } });
    // The rehearsal of the Mesh has cost one.
    expect(fake.paid).toBe(1);
    const calls = (action: string) => fake.calls.get(action) ?? 0;
    const fetched = calls('GetCertificate');
    fake.inProgress = Number.POSITIVE_INFINITY;
    const service = await mesh.startService('api');
    await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: service.port });
    // A few questions take longer than the write that goes on beside them.
    await eventually('the certificate is asked for', 60_000, async () => calls('GetCertificate') >= fetched + 5);
    await mesh.stopControlPlane('SIGKILL');
    fake.inProgress = 0;
    await mesh.startControlPlane();
    await eventually('the proxy presents its certificate', 60_000, async () => {
      const overview = await mesh.ok('GET', '/meshes/default/dataplanes/api-1/_overview');
      return overview.dataplaneInsight?.mTLS?.issuedBackend === 'acm-1';
    });
    expect([fake.paid, calls('IssueCertificate')]).toEqual([2, 2]);
  });
});
