import { beforeEach, describe, expect, it } from 'vitest';
import { CaError } from '../ca/backend.ts';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { type Coordinator, createCoordinator, expectedLoad } from './coordinator.ts';
import type { CoordinatorMemory } from './coordinator-memory.ts';
import type { PaceLimits } from './pace.ts';

const LATENCY_MS = 100;
const names = (count: number) => Array.from({ length: count }, (_, index) => `p-${index}`);

let clock: DrivenClock;
/** What the issuer answers; `undefined`: a leaf. */
let answer: (proxy: string) => CaError | undefined;
let asked: { readonly proxy: string; readonly at: number }[];
let held: Set<string>;
let told: number;
let saved: CoordinatorMemory | undefined;
let coordinator: Coordinator;
/** All of these want a leaf of the coordinator that was made last. */
let wantAll: (proxies: readonly string[]) => void;

function create(limits: PaceLimits = { concurrency: 32, ramp: true }, memory?: CoordinatorMemory): Coordinator {
  const made: Coordinator = createCoordinator<string>({
    mesh: 'default',
    backend: 'ca-1',
    clock,
    random: () => 0.5,
    isReady: () => true,
    async obtain(proxy) {
      asked.push({ proxy, at: clock.monotonic() });
      const error = answer(proxy);
      await new Promise<void>((resolve) => clock.after(LATENCY_MS, resolve));
      if (error !== undefined) throw error;
      return proxy;
    },
    issued: (proxy) => void held.add(proxy),
    failed() {
      told += 1;
    },
    throttled: () => undefined,
    again: (proxy) => void want(proxy),
    waited: () => undefined,
    changed: () => (saved = made.memory()),
  });
  /** As the identity service does: it comes again when it may. */
  const want = (proxy: string): void => {
    if (held.has(proxy)) return;
    const at = made.ask(proxy, 0);
    if (at !== undefined) clock.after(at - clock.now(), () => want(proxy));
  };
  made.limit(limits);
  if (memory !== undefined) made.restore(memory);
  made.ready();
  coordinator = made;
  wantAll = (proxies) => {
    for (const proxy of proxies) want(proxy);
  };
  return made;
}

/** An issuer that takes so many a second: a bucket of one second. */
function limitedTo(perSecond: number): (proxy: string) => CaError | undefined {
  let tokens = perSecond;
  let at = clock.monotonic();
  return () => {
    tokens = Math.min(perSecond, tokens + ((clock.monotonic() - at) / 1000) * perSecond);
    at = clock.monotonic();
    if (tokens < 1) return new CaError('throttled', 'too many requests');
    tokens -= 1;
    return undefined;
  };
}

beforeEach(() => {
  clock = createDrivenClock();
  answer = () => undefined;
  asked = [];
  held = new Set();
  told = 0;
  saved = undefined;
});

describe('a thousand proxies at an issuer of 25 a second (F6)', () => {
  it.each<[string, PaceLimits]>([
    ['whose limit is known', { concurrency: 32, perSecond: 25, ramp: true }],
    ['whose limit is not known', { concurrency: 32, ramp: true }],
  ])('%s: all have a leaf in time, for hardly more than a call each', async (_what, limits) => {
    create(limits);
    answer = limitedTo(25);
    wantAll(names(1000));
    await clock.advance(1.2 * (1000 / 25) * 1000);
    expect(held.size).toBe(1000);
    expect(asked.length / 1000).toBeLessThanOrEqual(1.05);
    // Nobody is told of what just takes its time.
    expect(told).toBe(0);
  });

  it('shows how many wait and how fast it goes', async () => {
    create({ concurrency: 32, perSecond: 25, ramp: true });
    answer = limitedTo(25);
    wantAll(names(1000));
    await clock.advance(10_000);
    const { waiting, inFlight, ratePerSecond } = expectedLoad(coordinator.load());
    expect(waiting + inFlight).toBe(1000 - held.size);
    expect(ratePerSecond).toBeGreaterThan(20);
    expect(ratePerSecond).toBeLessThanOrEqual(26);
  });
});

it('begins slowly and doubles each second, but not with a CA in this process', async () => {
  const perSecond = () => [0, 1, 2].map((s) => asked.filter(({ at }) => Math.floor(at / 1000) === s).length);
  create();
  wantAll(names(1000));
  await clock.advance(2999);
  const [first, second, third] = perSecond() as [number, number, number];
  expect(first).toBeLessThanOrEqual(8 * (1000 / LATENCY_MS));
  for (const [slower, faster] of [
    [first, second],
    [second, third],
  ] as const) {
    expect(faster).toBeGreaterThan(1.5 * slower);
  }
  coordinator.close();
  held.clear();
  create({ concurrency: 32, ramp: false });
  wantAll(names(32));
  await clock.advance(LATENCY_MS);
  expect(held.size).toBe(32);
});

describe('an issuer that throttles every request', () => {
  it('is asked by one proxy at a time, less and less, and people are told', async () => {
    create({ concurrency: 32, perSecond: 25, ramp: false });
    answer = () => new CaError('throttled', 'too many requests');
    wantAll(names(200));
    await clock.advance(600_000);
    expect(asked.length).toBeLessThanOrEqual(60);
    expect(asked.filter(({ at }) => at > 300_000).length).toBeLessThanOrEqual(8);
    expect(told).toBeGreaterThan(0);
    answer = () => undefined;
    await clock.advance(75_000);
    expect(held.size).toBeGreaterThan(20);
  });
});

describe('a restart', () => {
  const dead = () => new CaError('unavailable', 'connection refused');

  it('does not forget that the issuer was left alone, nor who waits, nor why', async () => {
    create();
    answer = dead;
    wantAll(names(100));
    await clock.advance(120_000);
    coordinator.close();
    expect(saved?.breaker?.opened).toBeGreaterThan(2);
    const before = asked.length;
    create(undefined, JSON.parse(JSON.stringify(saved)));
    expect(coordinator.load().leftAlone).toBe(true);
    const waits = saved!.failures![0]!;
    expect(coordinator.failure(waits.proxy)).toMatchObject({
      attempts: waits.attempts,
      message: expect.stringContaining('connection refused'),
    });
    wantAll(names(100));
    await clock.advance(120_000);
    expect(asked.length - before).toBeLessThanOrEqual(4);
    answer = () => undefined;
    await clock.advance(65_000);
    expect(held.size).toBe(100);
    expect(saved).toBeUndefined();
  });

  it('does not forget how slowly the issuer had to be asked', async () => {
    create({ concurrency: 32, ramp: false });
    answer = limitedTo(5);
    wantAll(names(100));
    await clock.advance(5000);
    coordinator.close();
    create({ concurrency: 32, ramp: false }, saved);
    expect(coordinator.load().perSecond).toBeLessThanOrEqual(10);
  });

  it('tries at once what waited for the backend itself', async () => {
    create();
    answer = dead;
    wantAll(['p-0']);
    await clock.advance(200);
    coordinator.close();
    answer = () => undefined;
    const restarted = create(undefined, saved);
    restarted.unanswered('p-1', { message: 'no CA yet', attempts: 1, nextAttemptAt: clock.now() + 60_000 });
    wantAll(['p-0', 'p-1']);
    restarted.ready();
    await clock.advance(200);
    expect([...held]).toEqual(['p-0', 'p-1']);
  });

  it('remembers no more than has a bound', async () => {
    create({ concurrency: 1000, ramp: false });
    answer = () => new CaError('denied', 'x'.repeat(100_000));
    wantAll(names(900));
    await clock.advance(1000);
    expect(JSON.stringify(saved).length).toBeLessThan(100_000);
  });
});
