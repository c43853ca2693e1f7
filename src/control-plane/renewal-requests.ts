import type { IdentityService, RenewalRequest } from '../identity/identity.ts';
import { REQUEST_LIFE_MS } from '../identity/renewals.ts';
import type { Clock } from '../lib/clock.ts';
import { contentHash, stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import type { RenewalRequestSpec } from '../resources/kinds/renewal-request.ts';
import { keyOf, type Resource } from '../resources/resource.ts';
import { followStore } from '../store/follow.ts';
import type { ResourceStore, Write } from '../store/store.ts';

const TYPE = 'RenewalRequest';

/** Stores a request for every control plane of the store; those of the mesh whose time is over go with the same write. */
export async function storeRenewalRequest(store: ResourceStore, request: RenewalRequest): Promise<void> {
  const { mesh, at, ...target } = request;
  const name = `renewal-${contentHash(stableJson([mesh, target]))}`;
  const meta = { mesh, name, labels: {}, creationTime: '', modificationTime: '', version: '' };
  const spec: RenewalRequestSpec = { ...target, at: new Date(at).toISOString() };
  const { items } = await store.list({ type: TYPE, mesh });
  const old = items.filter((item) => item.meta.name !== name && at - requestOf(item).at > REQUEST_LIFE_MS);
  await store.transact([
    { op: 'put', resource: { type: TYPE, meta, spec } },
    ...old.map((item): Write => ({ op: 'delete', key: keyOf(item) })),
  ]);
}

/** Follows what was asked, here or at another control plane, also before this one started. Ends when `signal` aborts. */
export async function watchRenewalRequests(options: {
  store: ResourceStore;
  identity: Pick<IdentityService, 'renew'>;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { identity, clock } = options;
  await followStore({ ...options, types: [TYPE], what: 'renewal requests' }, (batch) => {
    for (const change of batch) {
      if (change.op !== 'upsert') continue;
      const request = requestOf(change.resource);
      if (clock.now() - request.at < REQUEST_LIFE_MS) identity.renew(request);
    }
  });
}

function requestOf({ meta, spec }: Resource): RenewalRequest {
  const { at, ...target } = spec as RenewalRequestSpec;
  return { mesh: meta.mesh, ...target, at: Date.parse(at) };
}
