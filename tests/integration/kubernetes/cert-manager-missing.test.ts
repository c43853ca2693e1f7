import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { clusterBinaries, missingCluster, usesOwnCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { applyAccount, applyRights, createWorld, mtlsOf, NAMESPACE } from './cert-manager-world.ts';

// It wants a cluster without cert-manager.
const missing = usesOwnCluster() ? "not on a user's own cluster" : missingCluster('api');
if (missing !== undefined && !usesOwnCluster() && process.env['CI'] === 'true') throw new Error(missing);

describe.skipIf(missing !== undefined)(
  `certmanager before everything is set up${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await startCluster({ level: 'api', certManager: false, controllers: false });
      await applyAccount(cluster);
    }, 1_200_000);
    afterAll(() => cluster?.stop());

    it('F7 certmanager: absent: says each time what is missing, and goes on by itself when that is there', async () => {
      const kubeconfig = await cluster.kubeconfigFor({ serviceAccount: 'weft-control-plane', namespace: NAMESPACE });
      await using world = await createWorld({ kubeconfig });
      world.identity.setMesh('default', mtlsOf({ issuerRef: { name: 'my-ca-issuer' } }));
      world.want('web-1');
      const state = () => world.identity.backends('default')[0];
      const becomes = (reason: string) =>
        vi.waitFor(() => expect(state()).toMatchObject({ state: 'Failing', reason }), {
          timeout: 15_000,
          interval: 50,
        });

      await becomes('Forbidden');
      expect(state()?.message).toContain(`may not list CertificateRequests in namespace ${NAMESPACE}`);
      await cluster.applyYaml(state()?.fix ?? '');
      await becomes('CertManagerMissing');
      const { crds } = await clusterBinaries('api');
      await cluster.kubectl('apply', '--server-side', '-f', crds);
      // Issuers may not be looked at with the Role that was printed: the request tells.
      await becomes('NotApproved');
      await applyRights(cluster);
      await becomes('IssuerNotFound');
      expect(world.client.calls.get('create certificaterequests')).toBe(1);
    }, 120_000);
  },
);
