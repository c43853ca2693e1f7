import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { KubeClient } from '../../k8s/api/client.ts';
import { connectKubernetes } from '../../k8s/api/connect.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { coreKinds } from '../../resources/kinds/index.ts';
import { createRegistry } from '../../resources/registry.ts';
import { type FakeApiServer, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import { contractKinds } from '../../testing/kubernetes-kinds.ts';
import { draft, errorCode } from '../../testing/store-contract/drafts.ts';
import { storeContract } from '../../testing/store-contract.ts';
import type { ResourceStore } from '../store.ts';
import { createKubernetesStore } from './store.ts';

const SYSTEM = 'kong-mesh-system';

const open = (client: KubeClient, registry = createRegistry(coreKinds)) =>
  createKubernetesStore({
    client,
    registry,
    systemNamespace: SYSTEM,
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
  });

storeContract(
  'kubernetes (fake API server)',
  async () => {
    const server = await startFakeApiServer();
    const client = await connectKubernetes({ kubeconfig: server.kubeconfig });
    const store = await open(client, contractKinds());
    return {
      store,
      async cleanup() {
        await store.close();
        await client.close();
        await server.close();
      },
    };
  },
  systemClock,
  { ownClock: false, transactions: false, commitOrder: false, freeNames: false, exactJson: false },
);

describe('createKubernetesStore', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let store: ResourceStore;

  beforeEach(async () => {
    server = await startFakeApiServer();
    client = await connectKubernetes({ kubeconfig: server.kubeconfig });
  });
  afterEach(async () => {
    await store.close();
    await client.close();
    await server.close();
  });

  const MESHES = '/apis/kuma.io/v1alpha1/meshes';
  const DATAPLANES = '/apis/kuma.io/v1alpha1/namespaces/shop/dataplanes';
  const SECRETS = `/api/v1/namespaces/${SYSTEM}/secrets`;
  const secret = (name: string, type = 'system.kuma.io/secret') => ({
    metadata: { name, labels: { 'kuma.io/mesh': 'default' } },
    type,
    data: { value: 'c2VjcmV0' },
  });
  const until = (test: () => Promise<boolean>) => vi.waitUntil(test, { timeout: 15_000, interval: 5 });

  it('reads what others wrote, under the names of the mesh', async () => {
    server.put(MESHES, { metadata: { name: 'default' }, spec: { mtls: { enabledBackend: 'ca-1' } } });
    server.put(DATAPLANES, {
      metadata: { name: 'web', labels: { team: 'a' } },
      mesh: 'default',
      spec: { networking: { address: '10.0.0.1' } },
    });
    store = await open(client);
    expect(await store.get({ type: 'Mesh', mesh: '', name: 'default' })).toMatchObject({
      spec: { mtls: { enabledBackend: 'ca-1' } },
    });
    expect(await store.get({ type: 'Dataplane', mesh: 'default', name: 'web.shop' })).toMatchObject({
      meta: { labels: { team: 'a', 'k8s.kuma.io/namespace': 'shop', 'kuma.io/display-name': 'web' } },
      spec: { networking: { address: '10.0.0.1' } },
    });
  });

  it('keeps what belongs to a Dataplane beside it, owned by it', async () => {
    const dataplane = server.put(DATAPLANES, { metadata: { name: 'web' }, mesh: 'default', spec: {} });
    store = await open(client);
    for (const type of ['DataplaneInsight', 'SealedLeaf']) {
      const spec = type === 'SealedLeaf' ? { sealed: 'AAAA' } : { metadata: { a: 1 } };
      const written = await store.transact([{ op: 'put', resource: draft('web.shop', spec, { type }) }]);
      expect(written[0]).toMatchObject({ meta: { name: 'web.shop', mesh: 'default' }, spec });
    }
    const owner = { kind: 'Dataplane', name: 'web', uid: dataplane.metadata['uid'] };
    for (const plural of ['dataplaneinsights', 'sealedleaves']) {
      expect(server.objects(plural)).toMatchObject([
        { metadata: { namespace: 'shop', name: 'web', ownerReferences: [owner] } },
      ]);
    }
    // The Pod was made anew: the record goes with the new Dataplane.
    server.remove(`${DATAPLANES}/web`);
    const second = server.put(DATAPLANES, {
      metadata: { name: 'web' },
      mesh: 'default',
      spec: { probes: { port: 1 } },
    });
    const key = { type: 'Dataplane', mesh: 'default', name: 'web.shop' };
    await until(async () => (await store.get(key))?.meta.version === second.metadata['resourceVersion']);
    await store.transact([{ op: 'put', resource: draft('web.shop', { sealed: 'BBBB' }, { type: 'SealedLeaf' }) }]);
    expect(server.objects('sealedleaves')).toMatchObject([
      { metadata: { ownerReferences: [{ uid: second.metadata['uid'] }] }, spec: { sealed: 'BBBB' } },
    ]);
  });

  it('gives mesh-scoped objects their Mesh as owner', async () => {
    const mesh = server.put(MESHES, { metadata: { name: 'default' }, spec: {} });
    store = await open(client);
    await store.create(draft('token-key', { data: 'AAAA' }, { type: 'Secret' }));
    await store.create(draft('global', { data: 'AAAA' }, { type: 'GlobalSecret', mesh: '' }));
    await store.create(draft('default', {}, { type: 'MeshInsight', mesh: '' }));
    const [own, global] = server.objects('secrets');
    const owner = { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: 'default', uid: mesh.metadata['uid'] };
    expect(own).toMatchObject({
      type: 'system.kuma.io/secret',
      metadata: { namespace: SYSTEM, ownerReferences: [owner] },
    });
    expect(global).toMatchObject({ type: 'system.kuma.io/global-secret' });
    expect(global?.metadata).not.toHaveProperty('ownerReferences');
    expect(server.objects('meshinsights')).toMatchObject([{ metadata: { ownerReferences: [owner] } }]);
  });

  it('leaves annotations, owners and finalizers of others alone', async () => {
    store = await open(client);
    await store.create(draft('s', { data: 'AAAA' }, { type: 'Secret' }));
    const [made] = server.objects('secrets');
    server.put(SECRETS, {
      ...made!,
      metadata: {
        ...made!.metadata,
        annotations: { note: 'mine' },
        finalizers: ['theirs'],
        resourceVersion: undefined,
      },
    });
    await store.update(draft('s', { data: 'BBBB' }, { type: 'Secret' }));
    expect(server.objects('secrets')).toMatchObject([
      { metadata: { annotations: { note: 'mine' }, finalizers: ['theirs'] }, data: { value: 'BBBB' } },
    ]);
  });

  it('never reads, changes or deletes a Secret that is not ours', async () => {
    const theirs = server.put(SECRETS, secret('root-ca', 'kubernetes.io/tls'));
    server.put(SECRETS, secret('ours'));
    store = await open(client);
    expect((await store.list({ type: 'Secret' })).items.map((one) => one.meta.name)).toEqual(['ours']);
    expect(await errorCode(store.create(draft('root-ca', { data: 'AAAA' }, { type: 'Secret' })))).toBe('refused');
    expect(await errorCode(store.update(draft('root-ca', { data: 'AAAA' }, { type: 'Secret' })))).toBe('not-found');
    const put = store.transact([{ op: 'put', resource: draft('root-ca', { data: 'AAAA' }, { type: 'Secret' }) }]);
    expect(await errorCode(put)).toBe('refused');
    expect(await errorCode(store.delete({ type: 'Secret', mesh: 'default', name: 'root-ca' }))).toBe('not-found');
    // One of ours is replaced by another one's behind our back, before the watch tells.
    server.interceptor = (request) => request.url!.includes('watch=');
    server.cut();
    server.remove(`${SECRETS}/ours`);
    const replaced = server.put(SECRETS, secret('ours', 'Opaque'));
    expect(await errorCode(store.update(draft('ours', { data: 'AAAA' }, { type: 'Secret' })))).toBe('not-found');
    expect(server.objects('secrets')).toEqual([theirs, replaced]);
    const paths = server.requests.filter((request) => request.startsWith('GET') && request.includes('/secrets'));
    expect(paths.every((path) => path.includes('fieldSelector=type%3Dsystem.kuma.io'))).toBe(true);
    server.interceptor = undefined;
  });

  it('keeps Config in a ConfigMap of its own, and sees no other', async () => {
    server.put(`/api/v1/namespaces/${SYSTEM}/configmaps`, { metadata: { name: 'kube-root-ca.crt' }, data: { a: 'b' } });
    store = await open(client);
    await store.create(draft('cluster-id', { config: 'x' }, { type: 'Config', mesh: '' }));
    expect((await store.list({ type: 'Config' })).items).toMatchObject([
      { meta: { name: 'cluster-id', labels: {} }, spec: { config: 'x' } },
    ]);
    expect(server.objects('configmaps').map((one) => one.metadata.name)).toEqual([
      'kube-root-ca.crt',
      'weft-config-cluster-id',
    ]);
  });

  it('reads its own writes at once, and no late event of the watch undoes them', async () => {
    store = await open(client);
    await store.create(draft('web', { networking: { address: '10.0.0.1' } }));
    for (let port = 1; port <= 50; port += 1) {
      await store.update(draft('web', { probes: { port } }));
      expect((await store.get({ type: 'Dataplane', mesh: 'default', name: 'web' }))?.spec).toEqual({
        probes: { port },
      });
    }
    await store.delete({ type: 'Dataplane', mesh: 'default', name: 'web' });
    for (let turn = 0; turn < 20; turn += 1) {
      expect(await store.get({ type: 'Dataplane', mesh: 'default', name: 'web' })).toBeUndefined();
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  it('sees what another replica made, as soon as it is told that it exists', async () => {
    store = await open(client);
    server.interceptor = (request) => request.url!.includes('watch=');
    server.cut();
    server.put(SECRETS, secret('shared'));
    expect(await errorCode(store.create(draft('shared', { data: 'AAAA' }, { type: 'Secret' })))).toBe('already-exists');
    expect(await store.get({ type: 'Secret', mesh: 'default', name: 'shared' })).toMatchObject({
      spec: { data: 'c2VjcmV0' },
    });
    server.interceptor = undefined;
  });

  it('forgets what was deleted while the watch was away, also what only it had written', async () => {
    store = await open(client);
    let hold = true;
    server.interceptor = (request, response) => {
      if (!hold || !request.url!.includes('watch=')) return false;
      response.writeHead(503);
      response.end();
      return true;
    };
    server.cut();
    await store.create(draft('web', {}));
    server.remove(`/apis/kuma.io/v1alpha1/namespaces/${SYSTEM}/dataplanes/web`);
    server.compact();
    hold = false;
    await until(async () => (await store.count()).size === 0);
  });

  it('undoes a transaction that fails half way', async () => {
    server.put(SECRETS, secret('cert-1', 'Opaque'));
    store = await open(client);
    const before = await store.create(draft('old', { data: 'AAAA' }, { type: 'Secret' }));
    const code = await errorCode(
      store.transact([
        { op: 'create', resource: draft('key-1', { data: 'AAAA' }, { type: 'Secret' }) },
        { op: 'put', resource: draft('old', { data: 'BBBB' }, { type: 'Secret' }) },
        { op: 'create', resource: draft('cert-1', { data: 'AAAA' }, { type: 'Secret' }) },
        { op: 'delete', key: { type: 'Secret', mesh: 'default', name: 'old' } },
      ]),
    );
    expect(code).toBe('refused');
    expect(server.objects('secrets').map((one) => one.metadata.name)).toEqual(['cert-1', 'old']);
    expect((await store.get({ type: 'Secret', mesh: 'default', name: 'old' }))?.spec).toEqual(before.spec);
  });

  it('waits as long as a busy server asks, and says unavailable when there is none', async () => {
    store = await open(client);
    let busy = 2;
    server.interceptor = (request, response) => {
      if (request.method !== 'POST' || busy === 0) return false;
      busy -= 1;
      response.writeHead(429, { 'retry-after': '0.01' });
      response.end();
      return true;
    };
    await store.create(draft('web', {}));
    await server.pause();
    expect(await errorCode(store.create(draft('api', {})))).toBe('unavailable');
    expect(await store.get({ type: 'Dataplane', mesh: 'default', name: 'web' })).toBeDefined();
    await server.resume();
    await store.create(draft('api', {}));
  });

  it('leaves out an object that cannot be read, and keeps what it was before', async () => {
    server.put(DATAPLANES, { metadata: { name: 'bad' }, spec: { networking: 'nonsense' } });
    server.put(DATAPLANES, { metadata: { name: 'good' }, spec: { probes: { port: 1 } } });
    store = await open(client);
    const names = async () => (await store.list({ type: 'Dataplane' })).items.map((one) => one.meta.name);
    expect(await names()).toEqual(['good.shop']);
    server.put(DATAPLANES, { metadata: { name: 'good' }, spec: { networking: 'nonsense' } });
    server.put(DATAPLANES, { metadata: { name: 'next' }, spec: {} });
    await until(async () => (await names()).length === 2);
    expect(await store.get({ type: 'Dataplane', mesh: 'default', name: 'good.shop' })).toMatchObject({
      spec: { probes: { port: 1 } },
    });
  });

  it('moves a resource whose mesh is changed', async () => {
    server.put(DATAPLANES, { metadata: { name: 'web' }, mesh: 'one', spec: {} });
    store = await open(client);
    server.put(DATAPLANES, { metadata: { name: 'web' }, mesh: 'two', spec: {} });
    await until(async () => (await store.get({ type: 'Dataplane', mesh: 'two', name: 'web.shop' })) !== undefined);
    expect(await store.get({ type: 'Dataplane', mesh: 'one', name: 'web.shop' })).toBeUndefined();
  });

  it('says which kind is missing, and how to install it', async () => {
    store = await open(client);
    server.interceptor = (request, response) => {
      if (!request.url!.includes('/meshes')) return false;
      response.writeHead(404);
      response.end();
      return true;
    };
    await expect(open(client)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/kind Mesh: .*weft install crds/),
    });
  });
});
