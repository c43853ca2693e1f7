import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/control-plane/config.ts';
import { type ControlPlaneInfo, runControlPlane } from '../../../src/control-plane/run.ts';
import { controlPlaneManifests } from '../../../src/install/manifests.ts';
import { webhookConfigurations } from '../../../src/install/webhook-configurations.ts';
import { crds } from '../../../src/k8s/api/crds.ts';
import { type Logger, silentLogger } from '../../../src/lib/log.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { eventually, freePort } from '../../../src/testing/envoy.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';

const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const SYSTEM = 'kong-mesh-system';
const kinds = [...coreKinds, ...policyKinds];

describe.skipIf(missing !== undefined)(
  `a control plane that is installed in a cluster${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-control-plane-'));
    const stop = new AbortController();
    const errors: unknown[] = [];
    let cluster: Cluster;
    let api: string;
    let running: Promise<void> = Promise.resolve();

    beforeAll(async () => {
      cluster = await startCluster({ level: 'api' });
      const manifests = controlPlaneManifests({ namespace: SYSTEM, version: '0.0.0', values: [], crds: crds(kinds) });
      const isWebhook = ({ kind = '' }) => kind.endsWith('WebhookConfiguration');
      await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM } });
      await apply(...manifests.filter((object) => !isWebhook(object)));
      await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
      // Before the control plane is there, as an installer applies them; by URL, since no Pod runs here.
      const port = await freePort();
      const url = `https://127.0.0.1:${port}`;
      await apply(...webhookConfigurations({ namespace: SYSTEM, target: { url }, kinds }));
      const env = {
        HOME: folder,
        KUMA_ENVIRONMENT: 'kubernetes',
        KUMA_STORE_TYPE: 'kubernetes',
        KUMA_STORE_KUBERNETES_SYSTEM_NAMESPACE: SYSTEM,
        KUMA_GENERAL_WORK_DIR: folder,
        KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_ADDRESS: '127.0.0.1',
        KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_PORT: String(port),
        KUMA_API_SERVER_HTTP_PORT: '0',
        KUMA_API_SERVER_HTTPS_PORT: '0',
        KUMA_DP_SERVER_PORT: '0',
        KUMA_DIAGNOSTICS_SERVER_PORT: '0',
        // Only what the installed roles allow.
        KUBECONFIG: await cluster.kubeconfigFor({ serviceAccount: 'weft-control-plane', namespace: SYSTEM }),
      };
      const log: Logger = {
        ...silentLogger,
        error: (message, fields) => void errors.push(message, fields),
        warn: (message, fields) => void errors.push(message, fields),
        named: () => log,
      };
      const ready = Promise.withResolvers<ControlPlaneInfo>();
      running = runControlPlane({
        config: loadConfig({ env }).config,
        env,
        signal: stop.signal,
        log,
        onReady: ready.resolve,
      });
      running.catch(ready.reject);
      api = `http://127.0.0.1:${(await ready.promise).apiPort}`;
    }, 1_200_000);

    afterAll(async () => {
      stop.abort();
      await running;
      await cluster?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    const apply = (...items: readonly object[]) =>
      cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const read = async (...args: string[]) => JSON.parse(await cluster.kubectl('get', ...args, '-o', 'json'));

    it('starts with nothing but its rights, makes Mesh "default", and serves its webhooks', async () => {
      await eventually('Mesh default', async () => (await read('meshes')).items.length === 1, 60_000);
      const bad = {
        apiVersion: 'kuma.io/v1alpha1',
        kind: 'Mesh',
        metadata: { name: 'bad' },
        spec: { mtls: { enabledBackend: 'x' } },
      };
      await expect(apply(bad)).rejects.toThrow(
        'spec.mtls.enabledBackend: has to be set to one of the backends in the mesh',
      );
    });

    it('injects a Pod, and makes the Mesh the owner of a policy', async () => {
      await apply(
        {
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name: 'shop', labels: { 'kuma.io/sidecar-injection': 'enabled' } },
        },
        {
          apiVersion: 'kuma.io/v1alpha1',
          kind: 'MeshTrafficPermission',
          metadata: { name: 'all', namespace: SYSTEM },
          spec: { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] },
        },
      );
      await eventually(
        'ServiceAccount of the namespace',
        () => read('serviceaccount', 'default', '-n', 'shop'),
        60_000,
      );
      await apply({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
        spec: { containers: [{ name: 'app', image: 'app:1' }] },
      });
      const pod = await read('pod', 'web', '-n', 'shop');
      expect(pod.metadata.annotations['kuma.io/sidecar-injected']).toBe('true');
      expect(pod.spec.initContainers.map(({ name }: { name: string }) => name)).toEqual([
        'kuma-init',
        'kuma-bootstrap',
        'kuma-sidecar',
      ]);
      const policy = await read('meshtrafficpermission', 'all', '-n', SYSTEM);
      expect(policy.metadata.labels['kuma.io/policy-role']).toBe('system');
      expect(policy.metadata.ownerReferences).toMatchObject([{ kind: 'Mesh', name: 'default' }]);
    });

    it('makes a Mesh the owner of a Secret that was there first, so that both go together', async () => {
      const secret = (name: string, type: string) => ({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace: SYSTEM, labels: { 'kuma.io/mesh': 'late' } },
        type,
        stringData: { value: 'a certificate' },
      });
      await apply(secret('late-ca', 'system.kuma.io/secret'), secret('not-ours', 'Opaque'));
      await apply({ apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', metadata: { name: 'late' }, spec: {} });
      const { uid } = (await read('mesh', 'late')).metadata;
      const owners = async (name: string) => (await read('secret', name, '-n', SYSTEM)).metadata.ownerReferences;
      await eventually('its owner', async () => (await owners('late-ca')) !== undefined, 20_000);
      expect(await owners('late-ca')).toEqual([{ apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: 'late', uid }]);
      await apply(secret('later-ca', 'system.kuma.io/secret'));
      await eventually(
        'the owner of one that comes later',
        async () => (await owners('later-ca')) !== undefined,
        20_000,
      );
      expect(await owners('not-ours')).toBeUndefined();
      await cluster.kubectl('delete', 'mesh', 'late', '--wait=false');
      const left = async () => (await read('secrets', '-n', SYSTEM, '-l', 'kuma.io/mesh=late')).items;
      await eventually('garbage collection', async () => (await left()).length === 1, 60_000);
      expect((await left())[0].metadata.name).toBe('not-ours');
    });

    it('changes the CA of a Mesh step by step, shows it in its status, and refuses edits that skip a step', async () => {
      const mesh = (enabledBackend: string, ...names: string[]) => ({
        apiVersion: 'kuma.io/v1alpha1',
        kind: 'Mesh',
        metadata: { name: 'rotating' },
        spec: { mtls: { enabledBackend, backends: names.map((name) => ({ name, type: 'builtin' })) } },
      });
      const rotate = async (request: object) => {
        const answer = await fetch(`${api}/meshes/rotating/_ca-rotation`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(request),
        });
        expect([answer.status, await answer.text()]).toEqual([201, expect.anything()]);
      };
      const shown = async () => (await read('mesh', 'rotating')).status?.mtls?.rotation;
      await apply(mesh('ca-1', 'ca-1'));
      await expect(apply(mesh('ca-2', 'ca-1', 'ca-2'))).rejects.toThrow('weft ca rotate --mesh rotating --to ca-2');
      await apply(mesh('ca-1', 'ca-1', 'ca-2'));
      await eventually(
        'both backends',
        async () => (await read('mesh', 'rotating')).status?.mtls?.backends?.length === 2,
        60_000,
      );

      await rotate({ to: 'ca-2', dropOld: true });
      await eventually('the other backend issues', async () => (await shown())?.phase === 'Done', 60_000);
      expect(await shown()).toMatchObject({ kind: 'switch', from: 'ca-1', to: 'ca-2', proxies: { proxies: 0 } });
      expect((await read('mesh', 'rotating')).spec.mtls).toEqual({
        enabledBackend: 'ca-2',
        backends: [{ name: 'ca-2', type: 'builtin' }],
      });

      const certificate = async () => (await read('secret', 'rotating.ca-builtin-cert-ca-2', '-n', SYSTEM)).data.value;
      const before = await certificate();
      await rotate({ renew: true });
      await eventually(
        'the new CA',
        async () => (await shown())?.kind === 'renew' && (await shown()).phase === 'Done',
        60_000,
      );
      expect(await certificate()).not.toBe(before);
      const { data } = await read('secret', 'rotating.ca-builtin-renewal-ca-2', '-n', SYSTEM);
      expect(Buffer.from(data.value, 'base64').toString()).toBe('{}');
    });

    it('had nothing to complain about', () => {
      expect(errors).toEqual([]);
    });
  },
);
