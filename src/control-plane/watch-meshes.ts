import type { Tokens } from '../auth/tokens.ts';
import type { IdentityService } from '../identity/identity.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { PushSource } from '../push/xds-source.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { Change, LeaderElection, ResourceStore } from '../store/store.ts';
import type { MeshLifecycle } from './mesh-lifecycle.ts';

/** Secrets that decide whose token is good: signing keys and revocation lists (kuma-compat 3). */
const DECIDES_ACCESS = /^(dataplane|zone)-token-(signing-key|signing-public-key|revocations)/;

/**
 * Follows Meshes and secrets in the store, whoever wrote them: what a Mesh stands on is made good again by the leader when it is missing,
 * and everybody drops what was kept of a secret that changed.
 */
export async function watchMeshes(options: {
  store: ResourceStore;
  tokens: Pick<Tokens, 'secretChanged'>;
  identity: Pick<IdentityService, 'secretChanged'>;
  proxies: Pick<PushSource, 'authenticateAgain'>;
  meshLifecycle: MeshLifecycle;
  election: LeaderElection;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { store, clock, log, signal } = options;
  let synced = false;

  async function ensure(mesh: Resource<MeshSpec>): Promise<void> {
    try {
      await options.meshLifecycle.ensure(mesh);
    } catch (error) {
      log.warn('preparing what a mesh stands on failed', { mesh: mesh.meta.name, error });
    }
  }

  function follow(change: Change): void {
    if (change.op === 'synced') {
      synced = true;
      return;
    }
    const key = change.op === 'delete' ? change.key : { type: change.resource.type, ...change.resource.meta };
    if (key.type === 'Secret' || key.type === 'GlobalSecret') {
      if (!synced) return; // Nothing was kept of it yet.
      options.tokens.secretChanged(key.mesh, key.name);
      if (key.type === 'Secret') options.identity.secretChanged(key.mesh, key.name);
      if (DECIDES_ACCESS.test(key.name)) void options.proxies.authenticateAgain(key.mesh);
    } else if (change.op === 'upsert' && options.election.isLeader()) {
      void ensure(change.resource as Resource<MeshSpec>);
    }
  }

  while (!signal.aborted) {
    try {
      for await (const batch of store.watch({ types: ['Mesh', 'Secret', 'GlobalSecret'], signal }))
        batch.forEach(follow);
    } catch (error) {
      if (signal.aborted) return;
      log.warn('watching meshes and secrets failed, trying again', { error });
      await new Promise<void>((resolve) => void clock.after(1000, resolve));
    }
  }
}
