import { expect, vi } from 'vitest';
import type { Fault, FaultProxy } from './fault-proxy.ts';
import type { IssuanceWorld } from './issuance-world.ts';

/** What rows F4 and F5 of the fault matrix (docs/reliability.md) are for every issuer that is reached over HTTP. */

/** A failure that shows as a metric. */
const FAILED_ONCE = /^weft_issuance_last_failure_timestamp_seconds\{.*\} [1-9]/m;
/** Other names: the leaf a proxy has is not the one it must have. */
const OTHER = { uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web', 'kuma://v/2'] };
/** So long the issuer fails at least, in ms. */
const FAILS_MS = 4000;

const eventually = <T>(check: () => T, timeout = 90_000) => vi.waitFor(check, { timeout, interval: 50 });

/** F4: no leaf is taken away, the issuer is asked little, the failure is seen, and is over for all at once. Resolves with what was `unchanged`. */
export async function outlivesFault<T>(options: {
  world: IssuanceWorld;
  proxy: FaultProxy;
  proxies: readonly string[];
  fault: Fault;
  /** Of the backend's state. */
  reason: string;
  /** Fewer calls than this while the issuer fails. */
  calls: number;
  /** What must hold besides, before the issuer fails and at the end of that. */
  unchanged: () => T;
}): Promise<T> {
  const { world, proxy, proxies, unchanged } = options;
  const serials = () => proxies.map((one) => world.leaf(one)?.serial);
  for (const one of proxies) world.want(one);
  await eventually(() => expect(proxies.filter((one) => world.leaf(one) === undefined)).toEqual([]));
  const held = serials();
  const kept = unchanged();
  await proxy.fail(options.fault);
  const [before, failedAt] = [proxy.calls.length, Date.now()];
  for (const one of proxies) world.want(one, { ...OTHER, requestTimeoutMs: 2000 });
  await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason: options.reason }));
  await eventually(async () => expect(await world.metrics.metrics()).toMatch(FAILED_ONCE));
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, failedAt + FAILS_MS - Date.now())));
  expect(serials()).toEqual(held);
  // The first wave, with what it takes to find out why, and a few probes: not each proxy again and again.
  expect(proxy.calls.length - before).toBeLessThan(options.calls);
  expect(unchanged()).toEqual(kept);
  await proxy.fail('none');
  await eventually(() => expect(proxies.filter((one, index) => world.leaf(one)?.serial === held[index])).toEqual([]));
  await eventually(() => expect(world.backend()).toMatchObject({ state: 'Ready' }));
  return kept;
}

/** F5: what the issuer answers after `begin` is never held, and replaces no good leaf; when it is `usable`, the good leaf in it is taken. */
export async function refusesAnswer(world: IssuanceWorld, usable: boolean, begin: () => void): Promise<void> {
  world.want('web-1');
  await eventually(() => expect(world.leaf('web-1')).toBeDefined());
  const { serial } = world.leaf('web-1')!;
  const bundle = world.identity.bundle('default')?.pem;
  begin();
  world.want('web-1', OTHER);
  if (usable) {
    await eventually(() => expect(world.leaf('web-1')?.serial).not.toBe(serial));
    return;
  }
  await eventually(() => expect(world.failure('web-1')).toMatchObject({ attempts: 1 }));
  expect(world.leaf('web-1')?.serial).toBe(serial);
  expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'InvalidAnswer' });
  expect(world.identity.bundle('default')?.pem).toBe(bundle);
}

/** F5: of an answer of 50 MB to the calls that `isAnswer` picks only the beginning is read. */
export async function refusesToRead(
  world: IssuanceWorld,
  proxy: FaultProxy,
  isAnswer: (call: { path: string; body: Buffer }) => boolean,
): Promise<void> {
  world.want('web-1');
  await eventually(() => expect(world.leaf('web-1')).toBeDefined());
  const { serial } = world.leaf('web-1')!;
  let sent = 0;
  const part = Buffer.alloc(1024 * 1024, 'A');
  const body = function* () {
    for (; sent < 50; sent += 1) yield part;
  };
  proxy.answer = async (call) => (isAnswer(call) ? { status: 200, body: body() } : undefined);
  world.want('web-1', OTHER);
  await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'AnswerTooLarge' }));
  expect(sent).toBeLessThan(20);
  expect(world.leaf('web-1')?.serial).toBe(serial);
}
