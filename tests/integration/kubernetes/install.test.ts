import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { CHART, helmProgram, missingHelm, PROJECT } from './helm.ts';

const missing = missingCluster('api') ?? missingHelm();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(`install: ${missing}`);

const run = promisify(execFile);
const NAMESPACE = 'kong-mesh-system';
const CA = Buffer.from('the control plane wrote this').toString('base64');

describe.skipIf(missing !== undefined)(`installing in a cluster${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let program = '';
  const folder = mkdtempSync(join(tmpdir(), 'weft-install-'));

  // The first time Kubernetes and Helm are built.
  beforeAll(async () => {
    program = await helmProgram();
    cluster = await startCluster({ level: 'api', certManager: false, controllers: false });
  }, 1_800_000);

  afterAll(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true });
  });

  const helm = (...args: string[]) =>
    run(program, [...args, '--namespace', NAMESPACE], { env: { ...process.env, KUBECONFIG: cluster.kubeconfig } });
  const weft = async (...args: string[]) =>
    (await run(process.execPath, [join(PROJECT, 'src/bin/weft.ts'), 'install', ...args], { maxBuffer: 1 << 24 }))
      .stdout;
  const get = async (...args: string[]) => JSON.parse(await cluster.kubectl('get', ...args, '-o', 'json'));
  const names = async (kind: string) => (await cluster.kubectl('get', kind, '-o', 'name')).split('\n').filter(Boolean);

  describe('with Helm', () => {
    it('brings CRDs of an older version up to date, and leaves what the control plane wrote', async () => {
      await helm('install', 'weft', olderChart(), '--create-namespace');
      expect((await get('crd', 'meshes.kuma.io')).spec.versions[0].additionalPrinterColumns).toHaveLength(1);
      // What the control plane does when it starts, and what a user does after that.
      const patch = JSON.stringify([{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: CA }]);
      await cluster.kubectl(
        'patch',
        'mutatingwebhookconfiguration',
        'weft-admission-mutating',
        '--type=json',
        '-p',
        patch,
      );
      await createMesh('kept');

      await helm('upgrade', 'weft', CHART, '--set', 'controlPlane.replicas=3');
      expect((await get('crd', 'meshes.kuma.io')).spec.versions[0].additionalPrinterColumns.length).toBeGreaterThan(1);
      expect(await names('meshes')).toEqual(['mesh.kuma.io/kept']);
      const configuration = await get('mutatingwebhookconfiguration', 'weft-admission-mutating');
      expect(configuration.webhooks[0].clientConfig.caBundle).toBe(CA);
      expect((await get('deployment', 'weft-control-plane', '-n', NAMESPACE)).spec.replicas).toBe(3);
    });

    it('keeps CRDs and meshes when it is taken away, and takes them back when it is installed again', async () => {
      await helm('uninstall', 'weft');
      expect(await cluster.kubectl('get', 'all,role,rolebinding,sa', '-n', NAMESPACE, '-o', 'name')).not.toContain(
        'weft',
      );
      expect(
        await cluster.kubectl(
          'get',
          'clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration',
          '-o',
          'name',
        ),
      ).not.toContain('weft');
      expect(await names('meshes')).toEqual(['mesh.kuma.io/kept']);
      await helm('install', 'weft', CHART);
      expect(await names('meshes')).toEqual(['mesh.kuma.io/kept']);
    });

    it('takes everything away when that is asked for', async () => {
      await helm('upgrade', 'weft', CHART, '--set', 'crds.keep=false');
      await helm('uninstall', 'weft');
      const leaving = (await names('crd')).filter((name) => name.endsWith('.kuma.io'));
      if (leaving.length > 0) await cluster.kubectl('wait', '--for=delete', ...leaving, '--timeout=60s');
      expect((await names('crd')).filter((name) => name.endsWith('.kuma.io'))).toEqual([]);
    });
  });

  describe('with kubectl', () => {
    it('applies what weft install prints, twice', async () => {
      const manifests = await weft('control-plane');
      await cluster.applyYaml(manifests, '--server-side');
      const again = await cluster.applyYaml(manifests, '--server-side');
      expect(again).toContain('deployment.apps/weft-control-plane serverside-applied');
      const { spec } = await get('deployment', 'weft-control-plane', '-n', NAMESPACE);
      expect(spec.template.spec.containers[0].securityContext.readOnlyRootFilesystem).toBe(true);
    });

    it('loses no field: the API server knows every one of them', async () => {
      // Strict validation refuses unknown fields, where a client-side apply would drop them.
      const manifests = await weft(
        'control-plane',
        '--values',
        join(import.meta.dirname, 'testdata/values.yaml'),
        '--set',
        'monitoring.serviceMonitor.enabled=false',
        '--set',
        'monitoring.prometheusRule.enabled=false',
      );
      await cluster.applyYaml(manifests, '--server-side', '--validate=strict', '--force-conflicts', '--dry-run=server');
    });

    it('gives CRDs into the hands of Helm when it is told to', async () => {
      await expect(helm('install', 'weft', CHART)).rejects.toThrow(/ownership|conflict/);
      await helm('uninstall', 'weft').catch(() => undefined);
      await helm('install', 'weft', CHART, '--take-ownership', '--force-conflicts');
      await helm('uninstall', 'weft');
    });

    it('applies the demo beside it', async () => {
      await cluster.applyYaml(await weft('crds'), '--server-side', '--force-conflicts');
      await cluster.applyYaml(await weft('demo'), '--server-side', '--validate=strict');
      expect(await cluster.kubectl('get', 'deployment,service', '-n', 'weft-demo', '-o', 'name')).toContain(
        'deployment.apps/web',
      );
    });
  });

  /** The chart as it was when a Mesh had fewer printer columns. */
  function olderChart(): string {
    const copy = join(folder, 'older');
    cpSync(CHART, copy, { recursive: true });
    const path = join(copy, 'templates/crd-meshes.kuma.io.yaml');
    const crd = readFileSync(path, 'utf8');
    const columns = /additionalPrinterColumns:\n(?: {8}.*\n)+/;
    expect(crd).toMatch(columns);
    writeFileSync(
      path,
      crd.replace(
        columns,
        'additionalPrinterColumns:\n        - name: Age\n          type: date\n          jsonPath: .metadata.creationTimestamp\n',
      ),
    );
    return copy;
  }

  /** As the control plane itself, whose writes go past its webhooks: none runs here that could answer them. */
  async function createMesh(name: string): Promise<void> {
    const mesh = JSON.stringify({ apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', metadata: { name } });
    await cluster.applyYaml(mesh, `--as=system:serviceaccount:${NAMESPACE}:weft-control-plane`);
  }
});
