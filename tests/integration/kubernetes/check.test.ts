import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa } from '../../../src/testing/certificates.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import {
  apply,
  base64,
  createServingLeaf,
  type FakeWebhooks,
  installed,
  mesh,
  NAMESPACE,
  proxy,
  reportBackend,
  runCheck,
  startFakeWebhooks,
} from './check-fixture.ts';

const DAY_MS = 86_400_000;
const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

describe.skipIf(missing !== undefined)(
  `weft check on a real API server${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let cluster: Cluster;
    let webhooks: FakeWebhooks;

    beforeAll(async () => {
      cluster = await startCluster({ level: 'api', controllers: false, certManager: { webhook: true } });
      webhooks = await startFakeWebhooks();
    }, 1_200_000);

    afterAll(async () => {
      webhooks?.server.close();
      await cluster?.stop();
    });

    const check = (...argv: readonly string[]) => runCheck(cluster.kubeconfig, ...argv);
    const message = async (id: string, ...argv: readonly string[]) =>
      (await check(...argv)).report.checks.find((one) => one.id === id && one.outcome !== 'ok')?.message ?? '';

    it('says that nothing is installed, and how to install it', async () => {
      const { code, report, outcomes } = await check();
      expect(code).toBe(1);
      expect(outcomes).toMatchObject({
        'kubernetes-api': 'ok',
        'kubernetes-version': 'ok',
        clock: 'ok',
        'control-plane-rights': 'fail',
        'crds-present': 'fail',
        'webhooks-present': 'fail',
        'control-plane-ready': 'fail',
      });
      expect(report.checks.find(({ id }) => id === 'control-plane-ready')?.hint).toContain(
        'weft install control-plane',
      );
    });

    it('finds nothing wrong when all is there', async () => {
      const ca = await createTestCa({ uriSans: [] });
      await apply(cluster, ...installed(), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
      const status = { readyReplicas: 1, replicas: 1, updatedReplicas: 1 };
      const place = [
        '--namespace',
        NAMESPACE,
        'patch',
        'deployment',
        'weft-control-plane',
        '--subresource=status',
        '--type=merge',
      ];
      await cluster.kubectl(...place, '-p', JSON.stringify({ status }));
      await apply(
        cluster,
        webhooks.secret(),
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'my-ca', namespace: NAMESPACE },
          ...{ type: 'kubernetes.io/tls', data: { 'tls.crt': base64(ca.pem), 'tls.key': base64(ca.keyPem) } },
        },
        issuer('my-ca-issuer', { ca: { secretName: 'my-ca' } }),
        mesh({ name: 'my-ca-issuer' }, ca.pem),
        ...proxy('web-1'),
      );
      await reportBackend(cluster, 300 * DAY_MS);
      await apply(cluster, ...webhooks.configurations());
      await cluster.kubectl(
        'wait',
        '--namespace',
        NAMESPACE,
        '--for=condition=Ready',
        '--timeout=30s',
        'issuer/my-ca-issuer',
      );
      const { code, report, stderr } = await check('--fail-on', 'warn');
      expect(report.checks.filter(({ outcome }) => outcome === 'fail' || outcome === 'warn')).toEqual([]);
      expect([code, stderr]).toEqual([0, '']);
      expect(report.counts.ok).toBeGreaterThan(20);
    });

    const issuer = (name: string, spec: object) => ({
      apiVersion: 'cert-manager.io/v1',
      kind: 'Issuer',
      metadata: { name, namespace: NAMESPACE },
      spec,
    });

    it('has an issuer sign with --issue, and leaves no request behind', async () => {
      const { outcomes } = await check('--issue');
      expect(outcomes).toMatchObject({ 'issuer-trial': 'ok', 'issuer-approval': 'ok' });
      expect(await cluster.kubectl('get', 'certificaterequests', '-A', '-o', 'name')).toBe('');
    });

    it('says who does not approve', async () => {
      await cluster.stopCertManager();
      await cluster.startCertManager({ approver: false });
      try {
        const { code, report } = await check('--issue');
        expect(code).toBe(1);
        expect(report.checks.find(({ id }) => id === 'issuer-trial')).toMatchObject({
          outcome: 'fail',
          message: expect.stringContaining('nobody approved'),
          hint: expect.stringContaining(`resourceNames: ["issuers.cert-manager.io/${NAMESPACE}.my-ca-issuer"]`),
        });
        expect(await cluster.kubectl('get', 'certificaterequests', '-A', '-o', 'name')).toBe('');
      } finally {
        await cluster.stopCertManager();
        await cluster.startCertManager();
      }
    });

    it('names the issuer that is missing, not ready, or of a type that can not sign', async () => {
      await apply(cluster, issuer('half', { ca: { secretName: 'nowhere' } }), issuer('self', { selfSigned: {} }));
      await cluster.kubectl('wait', '--namespace', NAMESPACE, '--for=condition=Ready', '--timeout=30s', 'issuer/self');
      await cluster.kubectl(
        'wait',
        '--namespace',
        NAMESPACE,
        '--for=condition=Ready=False',
        '--timeout=30s',
        'issuer/half',
      );
      try {
        await apply(cluster, mesh({ name: 'my-ca-isuer' }));
        expect(await message('issuer-exists')).toBe(`there is no Issuer my-ca-isuer in ${NAMESPACE}`);
        await apply(cluster, mesh({ name: 'half' }));
        expect(await message('issuer-ready')).toContain('nowhere');
        await apply(cluster, mesh({ name: 'self' }));
        expect(await message('issuer-type')).toContain('own key');
        await apply(cluster, mesh({ name: 'x', kind: 'Signer', group: 'example.com' }));
        expect(await message('issuer-exists')).toContain('Signer.example.com x');
      } finally {
        await apply(cluster, mesh({ name: 'my-ca-issuer' }));
      }
    });

    it('sees a role that is gone, and one that gives too much', async () => {
      await cluster.kubectl('delete', 'clusterrole', 'weft-control-plane');
      await cluster.kubectl(
        'create',
        'clusterrolebinding',
        'too-much',
        '--clusterrole=cluster-admin',
        `--serviceaccount=${NAMESPACE}:other`,
      );
      expect(await message('control-plane-rights')).toContain('containerpatches.kuma.io');
      await apply(cluster, ...installed().filter(({ kind }) => kind === 'ClusterRole'));
      const subject = `--serviceaccount=${NAMESPACE}:weft-control-plane`;
      await cluster.kubectl('create', 'clusterrolebinding', 'much-too-much', '--clusterrole=cluster-admin', subject);
      expect(await message('control-plane-secrets')).toContain('may get, list secrets');
      await cluster.kubectl('delete', 'clusterrolebinding', 'too-much', 'much-too-much');
      expect((await check()).outcomes).toMatchObject({ 'control-plane-rights': 'ok', 'control-plane-secrets': 'ok' });
    });

    it('sees a webhook with another CA, an expired certificate, and none at all', async () => {
      const other = await createTestCa({ uriSans: [] });
      await apply(cluster, ...webhooks.configurations(other));
      expect((await check()).outcomes).toMatchObject({ 'webhooks-certificate': 'fail', 'webhooks-answer': 'fail' });
      expect(await message('webhooks-answer')).toContain('failed calling webhook');
      await apply(cluster, ...webhooks.configurations());
      await apply(cluster, webhooks.secret(await createServingLeaf(webhooks.ca, -60_000)));
      expect(await message('webhooks-certificate')).toContain('expired');
      await apply(cluster, webhooks.secret());
      await cluster.kubectl('delete', 'validatingwebhookconfiguration', 'weft-admission-validating');
      expect(await message('webhooks-present')).toContain('weft-admission-validating');
      await apply(cluster, ...webhooks.configurations());
      expect((await check()).outcomes['webhooks-answer']).toBe('ok');
    });

    it('sees definitions that are older than the program', async () => {
      const [definition] = installed().filter(({ metadata }) => metadata.name === 'meshtrafficpermissions.kuma.io');
      const older = JSON.parse(JSON.stringify(definition).replaceAll('"from":', '"formerly":'));
      await apply(cluster, older);
      expect(await message('crds-version')).toContain('meshtrafficpermissions.kuma.io (no spec.from)');
      await apply(cluster, definition!);
    });

    it('sees a CA near its end', async () => {
      await reportBackend(cluster, 20 * DAY_MS);
      expect(await message('ca-valid')).toBe('CA CN=ca expires in 20 days');
      expect((await check('--ca-expires-in', '10d')).outcomes['ca-valid']).toBe('ok');
      await reportBackend(cluster, 300 * DAY_MS);
    });

    it('waits until it is good, and says for what', async () => {
      await apply(cluster, ...proxy('web-2', -1000));
      const waiting = check('--wait', '20s');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await apply(cluster, ...proxy('web-2'));
      const { code, stderr } = await waiting;
      expect(code).toBe(0);
      expect(stderr).toContain('waiting: leaves-valid: 1 of 2 have an expired one: default/web-2.shop');
    });

    it('fails for a NACK, and for leaves nearer to their end than asked for', async () => {
      await apply(cluster, ...proxy('web-2', 3_000_000, [{ message: 'bad listener' }]));
      expect(await message('proxies-in-sync')).toContain('bad listener');
      await apply(cluster, ...proxy('web-2'));
      expect((await check('--leaf-expires-in', '90%')).outcomes['leaves-valid']).toBe('fail');
      expect((await check('--leaf-expires-in', '10m')).outcomes['leaves-valid']).toBe('ok');
    });

    it('tells somebody without rights what was not looked at, and fails for nothing it can not see', async () => {
      const { code, outcomes, report } = await runCheck(await cluster.kubeconfigFor({ user: 'somebody' }));
      expect(code).toBe(0);
      expect(outcomes['caller-rights']).toBe('warn');
      expect(report.counts.fail).toBe(0);
      expect(report.counts.skip).toBeGreaterThan(5);
    });

    it('is done in 3 s with 1000 proxies, with most of that left for a slow network', async () => {
      const many = Array.from({ length: 1000 }, (_, index) => proxy(`many-${index}`)).flat();
      for (let at = 0; at < many.length; at += 500) await apply(cluster, ...many.slice(at, at + 500));
      const { outcomes, report, cpuMs } = await check();
      expect(outcomes['leaves-valid']).toBe('ok');
      expect(report.checks.find(({ id }) => id === 'proxies-connected')?.message).toContain('1002');
      expect(cpuMs).toBeLessThan(1500);
    }, 300_000);

    it('could not look at anything: exit code 2', async () => {
      await cluster.stopApiServer();
      const { code, report } = await check();
      expect(code).toBe(2);
      expect(report.outcome).toBe('unchecked');
    });
  },
);
