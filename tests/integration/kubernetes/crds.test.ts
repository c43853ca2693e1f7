import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KubeClient, KubeError } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { kindResourceType } from '../../../src/k8s/api/kind-type.ts';
import type { KubeObject } from '../../../src/k8s/api/object.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/lib/log.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { createRegistry } from '../../../src/resources/registry.ts';
import { createKubernetesStore } from '../../../src/store/kubernetes/store.ts';
import type { ResourceStore } from '../../../src/store/store.ts';
import { eventually } from '../../../src/testing/envoy.ts';
import { draft } from '../../../src/testing/store-contract/drafts.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { type InstalledCrd, installCrds } from './install-crds.ts';

const NAMESPACE = 'weft-crds-test';
const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const registry = createRegistry([...coreKinds, ...policyKinds]);
const type = (kind: string) => kindResourceType(registry.byType(kind)!);

describe.skipIf(missing !== undefined)(`our kinds in a cluster${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let client: KubeClient;
  let store: ResourceStore;
  let installed: readonly InstalledCrd[];

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', certManager: false });
    client = await connectKubernetes({ kubeconfig: cluster.kubeconfig });
    installed = await installCrds(client, registry.list());
    await cluster.kubectl('create', 'namespace', NAMESPACE);
    store = await createKubernetesStore({
      client,
      registry,
      systemNamespace: NAMESPACE,
      clock: systemClock,
      random: Math.random,
      log: silentLogger,
    });
  }, 1_200_000);

  afterAll(async () => {
    await store?.close();
    await cluster?.kubectl('delete', 'mesh', 'crds-test', 'crds-other', '--ignore-not-found').catch(() => undefined);
    await cluster?.kubectl('delete', 'namespace', NAMESPACE, '--wait=false').catch(() => undefined);
    await client?.close();
    await cluster?.stop();
  });

  const mesh = (name: string, spec: unknown): KubeObject => ({
    apiVersion: 'kuma.io/v1alpha1',
    kind: 'Mesh',
    metadata: { name },
    ...{ spec },
  });
  const refusal = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => undefined,
      (caught: unknown) => caught,
    );
    if (!(error instanceof KubeError)) throw new Error(`expected a refusal, got ${String(error)}`);
    return error;
  };

  it('has no definition that the API server finds fault with', () => {
    const faults = installed.flatMap(({ metadata, status }) =>
      (status?.conditions ?? [])
        .filter((one) => (one.type === 'NonStructuralSchema') === (one.status === 'True'))
        .map((one) => `${metadata.name}: ${one.type} ${one.message}`),
    );
    expect(faults).toEqual([]);
    expect(installed.length).toBeGreaterThan(7);
  });

  it('keeps a Mesh as it was written, also what it does not know', async () => {
    const spec = {
      ofANewerVersion: { a: [1, 'x'] },
      mtls: {
        enabledBackend: 'ca-1',
        backends: [
          { name: 'ca-1', type: 'certmanager', mode: 1, conf: { issuerRef: { name: 'i', deep: [{ x: null }] } } },
        ],
      },
    };
    await client.create(type('Mesh'), mesh('crds-test', spec));
    expect(await client.get(type('Mesh'), { name: 'crds-test' })).toMatchObject({ spec });
    const read = await eventually('the store sees it', () => store.get({ type: 'Mesh', mesh: '', name: 'crds-test' }));
    expect(read.spec).toMatchObject({
      mtls: { backends: [{ mode: 'PERMISSIVE', conf: { issuerRef: { name: 'i' } } }] },
    });
  });

  it('has a status of the Mesh that a write of the Mesh leaves alone, and shows it', async () => {
    const status = {
      conditions: [{ type: 'Ready', status: 'False', reason: 'IssuerNotFound' }],
      mtls: { mode: 'PERMISSIVE', backends: [{ name: 'ca-1' }] },
    };
    const at = { name: 'crds-test' };
    await client.patch(type('Mesh'), at, { status }, { as: 'merge', subresource: 'status' });
    await client.patch(type('Mesh'), at, { spec: { routing: { zoneEgress: true } }, status: null }, { as: 'merge' });
    expect(await client.get(type('Mesh'), at)).toMatchObject({ status, spec: { routing: { zoneEgress: true } } });
    const table = await cluster.kubectl('get', 'mesh', 'crds-test');
    expect(table).toMatch(/MTLS +MODE +READY/i);
    expect(table).toMatch(/ca-1 +PERMISSIVE +False/);
  });

  it('refuses what can be no value, with the field', async () => {
    const wrong = await refusal(client.create(type('Mesh'), mesh('crds-bad', { mtls: { backends: 'one' } })));
    expect([wrong.code, wrong.causes[0]?.field]).toEqual(['invalid', 'spec.mtls.backends']);
    const policy = {
      metadata: { name: 'bad', namespace: NAMESPACE },
      spec: { targetRef: { kind: 'Mess' }, from: [] },
    };
    const bad = await refusal(client.create(type('MeshTrafficPermission'), policy));
    expect(bad.causes[0]?.field).toBe('spec.targetRef.kind');
  });

  it('takes numbers as texts in a Dataplane, as proto3 JSON does', async () => {
    const dataplane = {
      metadata: { name: 'web', namespace: NAMESPACE },
      mesh: 'crds-test',
      spec: { networking: { address: '10.0.0.1', inbound: [{ port: '8080', tags: { 'kuma.io/service': 'web' } }] } },
    };
    await client.create(type('Dataplane'), dataplane);
    const key = { type: 'Dataplane', mesh: 'crds-test', name: 'web' };
    const read = await eventually('the store sees it', () => store.get(key));
    expect(read.spec).toMatchObject({ networking: { inbound: [{ port: 8080 }] } });
    expect(await cluster.kubectl('get', 'dp', '-n', NAMESPACE)).toMatch(/web +crds-test +web/);
  });

  it('writes every kind of record the control plane keeps', async () => {
    const secret = draft('token-key', { data: 'AAAA' }, { type: 'Secret', mesh: 'crds-test' });
    await store.transact([
      { op: 'create', resource: secret },
      { op: 'put', resource: draft('global', { data: 'AAAA' }, { type: 'GlobalSecret', mesh: '' }) },
      { op: 'put', resource: draft('cluster-id', { config: 'x' }, { type: 'Config', mesh: '' }) },
      { op: 'put', resource: draft('crds-test', { policies: {} }, { type: 'MeshInsight', mesh: '' }) },
      { op: 'put', resource: draft('all-services-crds-test', {}, { type: 'ServiceInsight', mesh: 'crds-test' }) },
      {
        op: 'put',
        resource: draft('web', { mTLS: { issuedBackend: 'ca-1' } }, { type: 'DataplaneInsight', mesh: 'crds-test' }),
      },
      { op: 'put', resource: draft('web', { sealed: 'AAAA' }, { type: 'SealedLeaf', mesh: 'crds-test' }) },
    ]);
    expect(await cluster.kubectl('get', 'dataplaneinsights', '-n', NAMESPACE)).toMatch(/web +crds-test +ca-1/);
    const updated = await store.update({ ...secret, spec: { data: 'BBBB' } });
    expect(updated.spec).toEqual({ data: 'BBBB' });
  });

  it('ends with its owner what belongs to it', async () => {
    await client.delete(type('Dataplane'), { namespace: NAMESPACE, name: 'web' });
    await eventually(
      'records of the Dataplane are gone',
      async () =>
        (await store.list({ type: 'DataplaneInsight' })).total + (await store.list({ type: 'SealedLeaf' })).total === 0,
      60_000,
    );
    await client.delete(type('Mesh'), { name: 'crds-test' });
    await eventually(
      'what belongs to the Mesh is gone',
      async () => {
        const left = await Promise.all(
          ['Secret', 'MeshInsight', 'ServiceInsight'].map(async (kind) => (await store.list({ type: kind })).total),
        );
        return left.every((count) => count === 0);
      },
      60_000,
    );
    expect((await store.list({ type: 'GlobalSecret' })).total).toBe(1);
  }, 130_000);
});
