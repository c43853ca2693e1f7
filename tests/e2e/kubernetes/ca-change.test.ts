/**
 * F8 with all five backends: a control plane of a cluster's own, cert-manager, OpenBao, and AWS Private CA as a fake; the Envoys run beside the cluster. Takes a
 * cluster for itself, so only when it is asked for: `WEFT_F8_REQUESTS=100000`.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { generalCertificate } from '../../../src/control-plane/server-certificate.ts';
import { crds } from '../../../src/k8s/api/crds.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { createTestCa } from '../../../src/testing/certificates.ts';
import { eventually } from '../../../src/testing/envoy.ts';
import { FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../../src/testing/fakes/acm-pca.ts';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../../src/testing/openbao.ts';
import { createTestPki } from '../../../src/testing/openbao-pki.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { CA_CHANGES_TIMEOUT_MS, COMPANY, changeCas } from '../ca-changes.ts';
import { createTestMesh, type TestMesh } from '../mesh.ts';

const SYSTEM = 'kong-mesh-system';
const ISSUER = 'mesh-ca';
const missing = missingCluster('api') ?? missingOpenBao();
const isWanted = process.env['WEFT_F8_REQUESTS'] !== undefined;
if (isWanted && missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const base64 = (text: string) => Buffer.from(text).toString('base64');

describe.skipIf(!isWanted || missing !== undefined)('five backends on Kubernetes', () => {
  let cluster: Cluster;
  let bao: OpenBao;
  let acm: FakeAcmPca;
  let mesh: TestMesh;

  const apply = (...items: readonly object[]) =>
    cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const kuma = (kind: string, name: string, spec: object, namespace?: string) => ({
    apiVersion: 'kuma.io/v1alpha1',
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec,
  });

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api' });
    bao = await startOpenBao();
    acm = await startFakeAcmPca();
    await apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM } },
      ...crds([...coreKinds, ...policyKinds]),
    );
    await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
    const ca = await createTestCa({ subject: `CN=${ISSUER}`, uriSans: [] });
    await apply(
      {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/tls',
        metadata: { name: ISSUER, namespace: SYSTEM },
        data: { 'tls.crt': base64(ca.pem), 'tls.key': base64(ca.keyPem) },
      },
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'Issuer',
        metadata: { name: ISSUER, namespace: SYSTEM },
        spec: { ca: { secretName: ISSUER } },
      },
    );
    const env: Record<string, string> = {
      KUBECONFIG: cluster.kubeconfig,
      KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_PORT: '0',
      KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE: 'dpToken',
    };
    mesh = await createTestMesh({
      config: {
        environment: 'kubernetes',
        store: { type: 'kubernetes', kubernetes: { systemNamespace: SYSTEM } },
        weft: { ca: { allowedEndpoints: ['127.0.0.1', 'localhost'] } },
      },
      env,
    });
    // As on a machine, where proxies find its CA in a file.
    const folder = join(mesh.dir, 'cp');
    await generalCertificate({ tlsCertFile: '', tlsKeyFile: '', workDir: folder }, Date.now());
    env['KUMA_GENERAL_TLS_CERT_FILE'] = join(folder, 'server.pem');
    env['KUMA_GENERAL_TLS_KEY_FILE'] = join(folder, 'server.key');
    await mesh.startControlPlane();
  }, 1_200_000);
  afterAll(async () => {
    await mesh?.close();
    await bao?.close();
    await acm?.close();
    await cluster?.stop();
  });

  it(
    'from one CA to the next and back under traffic, 0 failed',
    async () => {
      await eventually('Mesh default', async () => (await mesh.api('GET', '/meshes/default')).status === 200, 60_000);
      const allow = { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] };
      await apply(kuma('MeshTrafficPermission', 'allow-all', allow, SYSTEM));
      const awsCredentials = {
        accessKey: { inlineString: FAKE_CREDENTIALS.accessKeyId },
        accessKeySecret: { inlineString: FAKE_CREDENTIALS.secretAccessKey },
      };
      await changeCas({
        mesh,
        backends: [
          { name: 'builtin-1', type: 'builtin' },
          { name: 'builtin-2', type: 'builtin' },
          COMPANY,
          { name: 'vault', type: 'vault', conf: (await createTestPki(bao)).config().conf },
          { name: 'acm', type: 'acmpca', conf: { arn: acm.arn, endpoint: acm.endpoint, auth: { awsCredentials } } },
          { name: 'certmanager', type: 'certmanager', conf: { issuerRef: { name: ISSUER, kind: 'Issuer' } } },
        ],
        async putMtls(mtls) {
          await apply(kuma('Mesh', 'default', { mtls }));
        },
        async putSecret(name, text) {
          const metadata = { name, namespace: SYSTEM, labels: { 'kuma.io/mesh': 'default' } };
          const secret = { apiVersion: 'v1', kind: 'Secret', type: 'system.kuma.io/secret', metadata };
          await apply({ ...secret, data: { value: base64(text) } });
        },
      });
    },
    CA_CHANGES_TIMEOUT_MS,
  );
});
