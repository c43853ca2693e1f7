import { beforeEach, describe, expect, it } from 'vitest';
import type { HeldLeaf, IdentityState } from '../identity/identity.ts';
import { silentLogger } from '../lib/log.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { ResourceStore } from '../store/store.ts';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { createDataplaneInsights, type DataplaneInsights } from './dataplane-insight.ts';

const SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const WEB = { mesh: 'default', name: 'web-1' };
const leaf = { notAfter: 3_600_000, issuedAt: 0, renewAt: 1, notBefore: 0, generation: 1, backend: 'ca' } as HeldLeaf;

let clock: DrivenClock;
let store: ResourceStore;
let writes: string[][];
let state: IdentityState;
let insights: DataplaneInsights;

beforeEach(() => {
  clock = createDrivenClock();
  writes = [];
  const desired = { backend: 'ca', uriSans: [], lifetimeMs: 1, keyType: 'ec-p256' } as const;
  state = { desired, leaf: undefined, failure: undefined };
  const memory = createMemoryStore({ clock });
  store = {
    ...memory,
    async transact(batch) {
      writes.push(batch.map((one) => (one.op === 'put' ? one.resource.meta.name : one.op)));
      return memory.transact(batch);
    },
  };
  insights = createDataplaneInsights({
    store,
    clock,
    log: silentLogger,
    instanceId: 'cp',
    identityState: () => state,
    exists: () => true,
    flushDelayMs: 1000,
    newId: () => 'id',
    subscriptionLimit: 0,
  });
});

function issue(): void {
  state = { ...state, leaf };
  insights.identityChanged(WEB);
}

describe('createDataplaneInsights', () => {
  it('writes a connection, its first leaf and that the proxy took it, once', async () => {
    insights.connected(WEB, 's', {});
    await clock.advance(4400);
    issue();
    insights.sent(WEB, 's', SECRET);
    await clock.advance(500);
    insights.acked(WEB, 's', SECRET);
    await clock.advance(60_000);
    expect(writes).toEqual([['web-1']]);
  });

  it('writes a leaf together with what follows it within the delay, whatever other proxies do', async () => {
    issue();
    insights.connected(WEB, 's', {});
    await clock.advance(10_000);
    insights.connected({ ...WEB, name: 'web-2' }, 't', {});
    await clock.advance(900);
    issue();
    await clock.advance(300);
    insights.acked(WEB, 's', SECRET);
    await clock.advance(10_000);
    expect(writes).toEqual([['web-1'], ['web-2'], ['web-1']]);
  });

  it('does not wait for a leaf for ever, nor where none comes or the proxy has gone', async () => {
    insights.connected(WEB, 's', {});
    await clock.advance(11_000);
    expect(writes.length).toBe(1);
    insights.disconnected(WEB, 's');
    await clock.advance(2000);
    expect(writes.length).toBe(2);
    state = { ...state, failure: { message: 'no', at: 0, since: 0, attempts: 1, nextAttemptAt: 1 } };
    insights.connected(WEB, 't', {});
    await clock.advance(2000);
    expect(writes.length).toBe(3);
  });

  it('says what the proxy has acknowledged, which is not always what it was given', async () => {
    const insightOf = async () => (await store.get({ type: 'DataplaneInsight', ...WEB }))?.spec;
    issue();
    insights.connected(WEB, 's', {});
    await clock.advance(10_000);
    expect(await insightOf()).toMatchObject({ mTLS: { issuedBackend: 'ca', supportedBackends: [] } });
    const presented = { serial: '01', backend: 'ca', root: 'aa', notAfter: 3_600_000 };
    insights.secretsAcknowledged(WEB, 'former', { backends: ['old'], roots: ['00'], leaf: undefined });
    insights.secretsAcknowledged(WEB, 's', { backends: ['ca', 'next'], roots: ['aa', 'bb'], leaf: presented });
    await clock.advance(10_000);
    expect(await insightOf()).toMatchObject({
      mTLS: { supportedBackends: ['ca', 'next'] },
      weft: {
        acknowledged: {
          roots: ['aa', 'bb'],
          certificate: { serial: '01', backend: 'ca', root: 'aa', notAfter: '1970-01-01T01:00:00.000Z' },
        },
      },
    });
  });
});
