import type { Tokens } from '../auth/tokens.ts';
import type { IdentityService } from '../identity/identity.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { PushSource } from '../push/xds-source.ts';
import { followStore } from '../store/follow.ts';
import type { Change, ResourceStore } from '../store/store.ts';

/** Secrets that decide whose token is good: signing keys and revocation lists (kuma-compat 3). */
const DECIDES_ACCESS = /^(dataplane|zone)-token-(signing-key|signing-public-key|revocations)/;

/** Follows secrets in the store, whoever wrote them, and has dropped what was kept of one that changed. */
export async function watchSecrets(options: {
  store: ResourceStore;
  tokens: Pick<Tokens, 'secretChanged'>;
  identity: Pick<IdentityService, 'secretChanged'>;
  proxies: Pick<PushSource, 'authenticateAgain'>;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  let synced = false;

  function follow(change: Change): void {
    if (change.op === 'synced') {
      synced = true;
      return;
    }
    const key = change.op === 'delete' ? change.key : { type: change.resource.type, ...change.resource.meta };
    if (!synced) return; // Nothing was kept of it yet.
    options.tokens.secretChanged(key.mesh, key.name);
    if (key.type === 'Secret') options.identity.secretChanged(key.mesh, key.name);
    if (DECIDES_ACCESS.test(key.name)) void options.proxies.authenticateAgain(key.mesh);
  }

  await followStore({ ...options, types: ['Secret', 'GlobalSecret'], what: 'secrets' }, (batch) =>
    batch.forEach(follow),
  );
}
