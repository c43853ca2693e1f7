import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { createTestCa } from '../../../src/testing/certificates.ts';
import { eventually } from '../../../src/testing/envoy.ts';
import { createCsr } from '../../../src/x509/csr.ts';
import { generateEcKey } from '../../../src/x509/key.ts';
import { toPem } from '../../../src/x509/pem.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';

const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const base64 = (text: string) => Buffer.from(text).toString('base64');

describe.skipIf(missing !== undefined)(`the API level${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', audit: true, certManager: { webhook: true } });
  }, 1_200_000);

  afterAll(() => cluster?.stop());

  const json = async (...args: string[]) => JSON.parse(await cluster.kubectl(...args, '-o', 'json'));

  async function applyIssuer(namespace: string) {
    const ca = await createTestCa({ uriSans: [] });
    const items = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/tls',
        metadata: { name: 'ca', namespace },
        data: { 'tls.crt': base64(ca.pem), 'tls.key': base64(ca.keyPem) },
      },
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'Issuer',
        metadata: { name: 'ca', namespace },
        spec: { ca: { secretName: 'ca' } },
      },
    ];
    await cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    return ca;
  }

  async function applyRequest(namespace: string, name: string, spiffeId: string) {
    const keys = generateEcKey();
    const csr = toPem('CERTIFICATE REQUEST', await createCsr(keys, [spiffeId]));
    const spec = { issuerRef: { name: 'ca' }, request: base64(csr), duration: '1h', usages: ['client auth'] };
    await cluster.applyYaml(
      JSON.stringify({
        apiVersion: 'cert-manager.io/v1',
        kind: 'CertificateRequest',
        metadata: { name, namespace },
        spec,
      }),
    );
  }

  it('signs a request with a SPIFFE ID by an Issuer with a CA Secret', async () => {
    const ca = await applyIssuer('signing');
    await applyRequest('signing', 'web', 'spiffe://default/web');
    await cluster.kubectl('wait', '--namespace=signing', '--for=condition=Ready', 'certificaterequest/web');
    const { status } = await json('get', '--namespace=signing', 'certificaterequest/web');
    const leaf = new X509Certificate(Buffer.from(status.certificate, 'base64'));
    expect(leaf.subjectAltName).toBe('URI:spiffe://default/web');
    expect(leaf.verify(new X509Certificate(ca.pem).publicKey)).toBe(true);
  });

  it('writes who did what to the audit log', async () => {
    const creators = new Set(
      cluster
        .audit!.events()
        .filter(({ verb, objectRef }) => verb === 'create' && objectRef?.resource === 'certificaterequests')
        .map(({ user }) => user.username),
    );
    expect([...creators]).toEqual(['admin']);
    const approvals = cluster
      .audit!.events()
      .filter(({ objectRef }) => objectRef?.resource === 'certificaterequests' && objectRef.subresource === 'status');
    expect(approvals.map(({ user }) => user.username)).toContain('system:serviceaccount:cert-manager:cert-manager');
  });

  it('lets a ServiceAccount do what its roles say, and tells whose token it is', async () => {
    await cluster.kubectl('create', 'serviceaccount', 'reader');
    const kubeconfig = await cluster.kubeconfigFor({ serviceAccount: 'reader', namespace: 'default' });
    const canList = () => cluster.kubectl('--kubeconfig', kubeconfig, 'get', 'configmaps');
    await expect(canList()).rejects.toThrow(/User "system:serviceaccount:default:reader" cannot list/);
    await cluster.kubectl('create', 'rolebinding', 'reader', '--clusterrole=view', '--serviceaccount=default:reader');
    await eventually('the right counts', canList);

    const token = (await cluster.kubectl('create', 'token', 'reader', '--audience=weft-control-plane')).trim();
    const client = await connectKubernetes({ kubeconfig: cluster.kubeconfig });
    const review = await client.raw<{ status: { user: { username: string } } }>({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences: ['weft-control-plane'] },
      },
    });
    await client.close();
    expect(review.status.user.username).toBe('system:serviceaccount:default:reader');
  });

  it('knows a user by certificate', async () => {
    const kubeconfig = await cluster.kubeconfigFor({ user: 'jane', groups: ['system:masters'] });
    expect(await cluster.kubectl('--kubeconfig', kubeconfig, 'auth', 'whoami')).toMatch(/Username +jane/);
  });

  it('deletes what an owner takes with it, and lets a Pod in', async () => {
    const owner = await json('create', 'configmap', 'owner');
    const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid };
    const spec = { containers: [{ name: 'app', image: 'app' }] };
    await cluster.applyYaml(
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'owned', ownerReferences: [reference] },
        spec,
      }),
    );
    await cluster.kubectl('delete', 'configmap', 'owner');
    await cluster.kubectl('wait', '--for=delete', '--timeout=30s', 'pod/owned');
  });

  it('leaves a request unapproved when cert-manager runs without its approver', async () => {
    await applyIssuer('unapproved');
    await cluster.stopCertManager();
    await cluster.startCertManager({ approver: false });
    await applyRequest('unapproved', 'web', 'spiffe://default/web');
    await applyRequest('unapproved', 'later', 'spiffe://default/later');
    // Its issuers still work, as the one that is approved by hand shows.
    const approved = { type: 'Approved', status: 'True', reason: 'ByHand', message: 'by the test' };
    await cluster.kubectl(
      ...['patch', '--namespace=unapproved', 'certificaterequest/later', '--subresource=status', '--type=merge'],
      `--patch=${JSON.stringify({ status: { conditions: [approved] } })}`,
    );
    await cluster.kubectl('wait', '--namespace=unapproved', '--for=condition=Ready', 'certificaterequest/later');
    const { status } = await json('get', '--namespace=unapproved', 'certificaterequest/web');
    expect(status?.conditions).toBeUndefined();
    await cluster.stopCertManager();
    await cluster.startCertManager();
    await cluster.kubectl('wait', '--namespace=unapproved', '--for=condition=Ready', 'certificaterequest/web');
  });

  it('refuses an approval by somebody who may not approve for that issuer', async () => {
    await cluster.kubectl('delete', 'clusterrolebinding', 'cert-manager-controller-approve:cert-manager-io');
    // The webhook remembers for a second that it was allowed.
    let attempt = 0;
    const refused = await eventually('an approval is refused', async () => {
      attempt += 1;
      const name = `waiting-${attempt}`;
      await applyRequest('signing', name, 'spiffe://default/waiting');
      const answered = await eventually('an attempt to approve', () =>
        cluster
          .audit!.events()
          .find(({ objectRef, user }) => objectRef?.name === name && user.username.endsWith(':cert-manager')),
      );
      return answered.responseStatus?.code === 403 && name;
    });
    const { status } = await json('get', '--namespace=signing', `certificaterequest/${refused}`);
    expect(status?.certificate).toBeUndefined();
  });

  it('goes away and comes back with what it had', async () => {
    await cluster.stopApiServer();
    await expect(cluster.kubectl('get', 'namespaces')).rejects.toThrow(/refused/);
    await cluster.startApiServer();
    expect(await cluster.kubectl('get', 'namespace', 'signing', '-o', 'name')).toBe('namespace/signing\n');
  });

  it('runs beside another, which goes away with the process that started it', async () => {
    const script = `
      import { startCluster } from ${JSON.stringify(join(import.meta.dirname, '../../cluster/cluster.ts'))};
      const { kubeconfig, server } = await startCluster({ level: 'api', certManager: false, controllers: false });
      console.log(JSON.stringify({ kubeconfig, server }));
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(owner.stdout, 'data');
    const other = JSON.parse(String(line)) as { kubeconfig: string; server: string };
    expect(await cluster.kubectl('--kubeconfig', other.kubeconfig, 'get', 'namespaces', '-o', 'name')).not.toContain(
      'namespace/signing',
    );
    owner.kill('SIGKILL');
    await eventually('the files are gone', () => !existsSync(dirname(other.kubeconfig)));
    await expect(fetch(other.server)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  });

  it('leaves nothing when it is stopped', async () => {
    await cluster.stop();
    expect(existsSync(dirname(cluster.kubeconfig))).toBe(false);
    await expect(fetch(cluster.server)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  });
});
