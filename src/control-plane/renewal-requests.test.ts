import { afterEach, expect, it } from 'vitest';
import type { RenewalRequest } from '../identity/identity.ts';
import { REQUEST_LIFE_MS } from '../identity/renewals.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { createMemoryStore } from '../store/memory.ts';
import { eventually } from '../testing/envoy.ts';
import { storeRenewalRequest, watchRenewalRequests } from './renewal-requests.ts';

const stop = new AbortController();
afterEach(() => stop.abort());

it('reaches every control plane of a store, those that start later too, and is kept once', async () => {
  const store = createMemoryStore({ clock: systemClock });
  const now = Date.now();
  /** One control plane: what it was told to renew. */
  function follow(): RenewalRequest[] {
    const seen: RenewalRequest[] = [];
    const identity = { renew: (request: RenewalRequest) => void seen.push(request) };
    void watchRenewalRequests({ store, identity, clock: systemClock, log: silentLogger, signal: stop.signal });
    return seen;
  }
  const old = { mesh: 'default', proxy: 'gone', at: now - REQUEST_LIFE_MS - 2000 };
  await storeRenewalRequest(store, old);
  const [one, other] = [follow(), follow()];
  await storeRenewalRequest(store, { mesh: 'default', service: 'web', backend: 'ca-1', at: now - 1000 });
  await storeRenewalRequest(store, { mesh: 'default', service: 'web', backend: 'ca-1', at: now });
  const last = { mesh: 'default', service: 'web', backend: 'ca-1', at: now };
  await eventually('both to know', async () => one.at(-1)?.at === now && other.at(-1)?.at === now, 10_000);
  expect([one.at(-1), other.at(-1)]).toEqual([last, last]);
  expect(one.some(({ proxy }) => proxy === 'gone')).toBe(false);
  const late = follow();
  await eventually('the late one to know', async () => late.length > 0, 10_000);
  expect(late).toEqual([last]);
  // What is over went with a later write.
  expect((await store.list({ type: 'RenewalRequest' })).items).toHaveLength(1);
});
