import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { SECRET } from '../../../src/k8s/api/core-kinds.ts';
import { createListWatch } from '../../../src/k8s/api/create-list-watch.ts';
import { kindResourceType } from '../../../src/k8s/api/kind-type.ts';
import type { KubeObject } from '../../../src/k8s/api/object.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/lib/log.ts';
import { createKubernetesStore } from '../../../src/store/kubernetes/store.ts';
import { eventually } from '../../../src/testing/envoy.ts';
import { contractKinds } from '../../../src/testing/kubernetes-kinds.ts';
import { draft, errorCode } from '../../../src/testing/store-contract/drafts.ts';
import { storeContract } from '../../../src/testing/store-contract.ts';
import { missingCluster, usesOwnCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { installCrds } from './install-crds.ts';

const SYSTEM = 'weft-store-test';
// It brings definitions of its own and deletes what there is of them.
const missing = usesOwnCluster() ? "not on a user's own cluster" : missingCluster('api');
if (missing !== undefined && !usesOwnCluster() && process.env['CI'] === 'true') throw new Error(missing);

/** The store against a real API server. The kinds are the contract's: the definitions of our own kinds would drop what it writes. */
describe.skipIf(missing !== undefined)(`the Kubernetes store${missing === undefined ? '' : ` (${missing})`}`, () => {
  const kinds = contractKinds();
  let cluster: Cluster;
  let client: KubeClient;

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', certManager: false, controllers: false });
    client = await connectKubernetes({ kubeconfig: cluster.kubeconfig });
    await installCrds(client, kinds.list());
    await cluster.kubectl('create', 'namespace', SYSTEM);
  }, 1_200_000);

  afterAll(async () => {
    await client?.close();
    await cluster?.stop();
  });

  const open = () =>
    createKubernetesStore({
      client,
      registry: kinds,
      systemNamespace: SYSTEM,
      clock: systemClock,
      random: Math.random,
      log: silentLogger,
    });

  storeContract(
    'kubernetes',
    async () => {
      for (const kind of kinds.list()) {
        await client.deleteCollection(
          kindResourceType(kind),
          kind.kubernetesScope === 'Namespaced' ? { namespace: SYSTEM } : {},
        );
      }
      const store = await open();
      return { store, cleanup: () => store.close() };
    },
    systemClock,
    // docs/decisions/0013-kubernetes-store.md says why.
    { ownClock: false, transactions: false, commitOrder: false, freeNames: false, exactJson: false },
  );

  it('refuses what the API server refuses', async () => {
    const store = await open();
    expect(await errorCode(store.create(draft('Not_A_Name')))).toBe('refused');
    expect(await errorCode(store.create(draft('web', {}, { labels: { a: 'no label!' } })))).toBe('refused');
    await store.close();
  });

  it('keeps what it has while the API server is away, and catches up when it is back', async () => {
    const [store, other] = [await open(), await open()];
    await store.create(draft('away', { value: 1 }));
    await cluster.stopApiServer();
    expect(await errorCode(store.update(draft('away', { value: 2 })))).toBe('unavailable');
    expect((await store.get({ type: 'Dataplane', mesh: 'default', name: 'away' }))?.spec).toEqual({ value: 1 });
    await cluster.startApiServer();
    await eventually('a write succeeds', () => other.update(draft('away', { value: 3 })), 20_000);
    await eventually(
      'the other store sees it',
      async () => {
        const found = await store.get({ type: 'Dataplane', mesh: 'default', name: 'away' });
        return JSON.stringify(found?.spec) === '{"value":3}';
      },
      20_000,
    );
    await Promise.all([store.close(), other.close()]);
  }, 60_000);

  it('follows one type of Secrets and never sees another', async () => {
    const secret = (name: string, type: string): KubeObject => ({
      metadata: { namespace: SYSTEM, name },
      ...{ type, stringData: { value: 'x' } },
    });
    const list = createListWatch({
      client,
      type: SECRET,
      namespace: SYSTEM,
      fieldSelector: 'type=system.kuma.io/secret',
      clock: systemClock,
      random: Math.random,
      log: silentLogger,
    });
    await list.synced;
    await client.create(SECRET, secret('theirs', 'Opaque'));
    await client.create(SECRET, secret('ours', 'system.kuma.io/secret'));
    await eventually('ours is seen', () => list.get(SYSTEM, 'ours'));
    expect([...list.items()].map((one) => one.metadata.name)).toEqual(['ours']);
    await list.close();
  });
});
