import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { silentLogger } from '../lib/log.ts';
import { createMetrics } from '../lib/metrics.ts';
import { createSteadyClock } from '../lib/steady-clock.ts';
import { createCaDependencies } from '../testing/ca-contract.ts';
import { createDrivenClock } from '../testing/fakes/driven-clock.ts';
import { createLimitedIssuer } from '../testing/fakes/limited-issuer.ts';
import type { IdentityService } from './identity.ts';
import { createIdentityService } from './service.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LIFE = 4 * HOUR;
const PROXIES = Array.from({ length: 12 }, (_, index) => ({ mesh: 'default', name: `p-${index}` }));

/** A control plane whose clock can be set, and an issuer elsewhere whose clock is right. */
async function createWorld() {
  let held = 0;
  const clock = createDrivenClock(Date.UTC(2026, 0, 1), () => issuer.signed > held);
  const start = clock.now();
  const rightTime = () => start + clock.uptime();
  const issuer = createLimitedIssuer({ clock, perSecond: 25, latencyMs: 50, known: undefined });
  const deps = createCaDependencies({ now: rightTime });
  await issuer.kind.ensure?.({ mesh: 'default', name: 'ca', type: 'limited', conf: {} }, deps);
  const service: IdentityService = createIdentityService({
    caKinds: [issuer.kind],
    caDependencies: deps,
    records: { load: async () => [], save: async () => undefined, remove: async () => undefined },
    memories: { load: async () => [], save: async () => undefined, remove: async () => undefined },
    sealingKey: randomBytes(32),
    clock: createSteadyClock(clock, { uptimeMs: clock.uptime, stepped: () => undefined }),
    random: Math.random,
    log: silentLogger,
    metrics: createMetrics(),
  });
  service.subscribe((event) => {
    if (event.kind === 'leaf') held += 1;
  });
  service.setMesh('default', { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'limited' }] });
  for (const proxy of PROXIES) {
    const uriSans = [`spiffe://default/${proxy.name}`];
    service.want(proxy, { backend: 'ca', uriSans, lifetimeMs: LIFE, keyType: 'ec-p256' });
  }
  await clock.advance(10_000);
  const expired = () => PROXIES.filter((proxy) => (service.state(proxy).leaf?.notAfter ?? 0) <= rightTime()).length;
  return { clock, service, issuer, expired };
}

it.each([
  ['ten minutes forward', 10 * MINUTE],
  ['an hour forward', HOUR],
  ['ten minutes back', -10 * MINUTE],
  ['an hour back', -HOUR],
  ['a year back', -365 * 24 * HOUR],
])(
  'F10 all: a clock that is set %s, in the middle of a rotation, for good: no leaf expires, and there is no storm',
  async (_what, by) => {
    const { clock, service, issuer, expired } = await createWorld();
    await clock.advance(0.75 * LIFE);
    clock.step(by);
    let most = 0;
    for (let ten = 0; ten < 3 * 24; ten += 1) {
      const before = issuer.signed;
      await clock.advance(10 * MINUTE);
      expect(expired()).toBe(0);
      most = Math.max(most, issuer.signed - before);
    }
    // Three lives more are four or five leaves each; a clock that is an hour ahead sees an hour less of each.
    expect(issuer.signed).toBeLessThanOrEqual(PROXIES.length * (by === HOUR ? 8 : 6));
    expect(most).toBeLessThanOrEqual(PROXIES.length);
    await service.close();
  },
);

it('F10 all: a host that slept until all leaves had expired has new ones within a minute', async () => {
  const { clock, service, issuer, expired } = await createWorld();
  await clock.advance(HOUR);
  clock.sleep(10 * HOUR);
  expect(expired()).toBe(PROXIES.length);
  await clock.advance(MINUTE + 5000);
  expect([expired(), issuer.signed]).toEqual([0, 2 * PROXIES.length]);
  await service.close();
});
