import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { enter, nextStep } from './machine.ts';
import { isEnded, type RotatingProxy, type Rotation, type RotationAction, type Sighting } from './rotation.ts';

const START = Date.UTC(2026, 0, 1);
const OLD = new Set(['old']);
const NEW = new Set(['new']);

const rotation = (change: Partial<Rotation> = {}): Rotation => ({
  kind: 'switch',
  from: 'ca-1',
  to: 'ca-2',
  phase: 'Trusting',
  paused: false,
  dropOld: true,
  startedAt: new Date(START).toISOString(),
  phaseSince: new Date(START).toISOString(),
  startedBy: 'test',
  ...change,
});
const proxy = (name: string, change: Partial<RotatingProxy> = {}): RotatingProxy => ({
  name,
  services: [name],
  connected: true,
  trusts: new Set(['old', 'new']),
  leaf: { backend: 'ca-1', root: 'old', notAfter: START + 3_600_000 },
  problem: undefined,
  ...change,
});
const renewed = { leaf: { backend: 'ca-2', root: 'new', notAfter: START + 3_600_000 } };
const seen = (proxies: readonly RotatingProxy[], change: Partial<Sighting> = {}): Sighting => ({
  now: START,
  issuing: 'old',
  otherKept: true,
  newRoots: NEW,
  oldRoots: OLD,
  problem: undefined,
  proxies,
  ...change,
});

describe('Trusting', () => {
  it('activates when every connected proxy has acknowledged the new CA', () => {
    expect(nextStep(rotation(), seen([proxy('a'), proxy('b')]))).toEqual({ kind: 'act', action: 'activate' });
  });

  it('waits for a connected proxy that has not, whatever the policy, and names it', () => {
    const late = proxy('b', { trusts: OLD, problem: 'it refuses its certificates: no' });
    const step = nextStep(rotation({ offlineGraceMs: 0 }), seen([proxy('a'), late]));
    expect(step).toMatchObject({ kind: 'wait', waiting: { reason: 'ProxiesToTrust', proxies: ['b'] } });
    expect(step).toMatchObject({ waiting: { message: expect.stringContaining('b: it refuses its certificates: no') } });
  });

  it('waits for a proxy that is away until its certificate has expired', () => {
    const away = proxy('b', { connected: false, trusts: OLD });
    const step = nextStep(rotation(), seen([proxy('a'), away]));
    expect(step).toMatchObject({ kind: 'wait', waiting: { reason: 'OfflineProxies' }, until: START + 3_600_000 });
    const later = seen([proxy('a'), away], { now: START + 3_600_000 });
    expect(nextStep(rotation(), later)).toEqual({ kind: 'act', action: 'activate' });
  });

  it('goes on without a proxy that is away after the time that was said', () => {
    const away = proxy('b', { connected: false, trusts: OLD });
    const patient = rotation({ offlineGraceMs: 600_000 });
    expect(nextStep(patient, seen([away]))).toMatchObject({ kind: 'wait', until: START + 600_000 });
    expect(nextStep(patient, seen([away], { now: START + 600_000 }))).toEqual({ kind: 'act', action: 'activate' });
  });

  it('waits a moment for a proxy that is so new that nothing was heard of it', () => {
    const newcomer = proxy('b', { connected: false, trusts: new Set(), leaf: undefined, unheardSince: START - 1000 });
    const step = nextStep(rotation(), seen([proxy('a'), newcomer]));
    expect(step).toMatchObject({ waiting: { reason: 'NewProxies', proxies: ['b'] }, until: START + 14_000 });
    const later = seen([proxy('a'), newcomer], { now: START + 14_000 });
    expect(nextStep(rotation(), later)).toEqual({ kind: 'act', action: 'activate' });
  });

  it('is blocked, with the fix, while the new backend cannot issue', () => {
    const problem = { reason: 'Sealed', message: 'vault is sealed', fix: 'vault operator unseal' };
    expect(nextStep(rotation(), seen([proxy('a')], { problem }))).toMatchObject({
      kind: 'wait',
      waiting: { reason: 'Blocked', message: 'vault is sealed', fix: 'vault operator unseal' },
    });
    expect(nextStep(rotation(), seen([proxy('a')], { newRoots: new Set() }))).toMatchObject({ kind: 'wait' });
  });

  it('does nothing while paused', () => {
    expect(nextStep(rotation({ paused: true }), seen([proxy('a')]))).toMatchObject({ waiting: { reason: 'Paused' } });
  });

  it('of a builtin CA begins with making the next one, and goes on in time when the old one is about to end', () => {
    const renewal = rotation({ kind: 'renew', to: 'ca-1', goOnAt: new Date(START + 1000).toISOString() });
    expect(nextStep(renewal, seen([], { otherKept: false, newRoots: new Set() }))).toEqual({
      kind: 'act',
      action: 'prepare',
    });
    const late = proxy('a', { trusts: OLD });
    expect(nextStep(renewal, seen([late]))).toMatchObject({ kind: 'wait', until: START + 1000 });
    expect(nextStep(renewal, seen([late], { now: START + 1000 }))).toEqual({ kind: 'act', action: 'activate' });
  });
});

describe('Issuing and Retiring', () => {
  const issuing = rotation({ phase: 'Issuing' });
  const retiring = rotation({ phase: 'Retiring' });

  it('waits until every connected proxy presents a certificate of the new CA', () => {
    const half = seen([proxy('a', renewed), proxy('b')], { issuing: 'new' });
    expect(nextStep(issuing, half)).toMatchObject({ waiting: { reason: 'ProxiesToRenew', proxies: ['b'] } });
    const all = seen([proxy('a', renewed), proxy('b', renewed)], { issuing: 'new' });
    expect(nextStep(issuing, all)).toMatchObject({ kind: 'enter', rotation: { phase: 'Retiring' } });
  });

  it('drops the old CA only when no living certificate chains to it', () => {
    const away = proxy('b', { connected: false });
    expect(nextStep(retiring, seen([proxy('a', renewed), away], { issuing: 'new' }))).toMatchObject({
      waiting: { reason: 'OfflineProxies', proxies: ['b'] },
    });
    const gone = seen([proxy('a', renewed), away], { issuing: 'new', now: START + 3_600_000 });
    expect(nextStep(retiring, gone)).toEqual({ kind: 'act', action: 'retire' });
    expect(nextStep(retiring, { ...gone, otherKept: false })).toMatchObject({ rotation: { phase: 'Done' } });
  });

  it('leaves the old backend listed unless it is to go', () => {
    const keep = rotation({ phase: 'Retiring', dropOld: false });
    expect(nextStep(keep, seen([proxy('a')], { issuing: 'new' }))).toMatchObject({ rotation: { phase: 'Done' } });
  });

  it('ends, with the reason, when the Mesh is about something else now', () => {
    const off = seen([], { issuing: undefined, gone: 'mTLS was switched off' });
    expect(nextStep(issuing, off)).toMatchObject({
      kind: 'enter',
      rotation: { phase: 'Cancelled', message: 'mTLS was switched off' },
    });
  });
});

describe('RollingBack', () => {
  const back = rotation({ phase: 'RollingBack' });

  it('has the old CA issue again, and ends when its certificates are presented', () => {
    expect(nextStep(back, seen([proxy('a', renewed)], { issuing: 'new' }))).toEqual({ kind: 'act', action: 'restore' });
    expect(nextStep(back, seen([proxy('a', renewed)]))).toMatchObject({ waiting: { reason: 'ProxiesToRenew' } });
    expect(nextStep(back, seen([proxy('a')]))).toMatchObject({ rotation: { phase: 'RolledBack' } });
  });

  it('cannot go back to a CA that is not trusted any more', () => {
    const step = nextStep(back, seen([proxy('a', renewed)], { issuing: 'new', otherKept: false }));
    expect(step).toMatchObject({ rotation: { phase: 'Cancelled', message: expect.stringContaining('ca-1') } });
  });
});

/** A mesh whose proxies do what proxies do, in any order, and a control plane that dies between any two of its steps. */
type Event =
  | { readonly kind: 'look' }
  /** It acts and dies before it has written anything of it. */
  | { readonly kind: 'look-and-die' }
  | { readonly kind: 'trust' | 'renew' | 'leave' | 'return'; readonly proxy: number }
  /** All that are connected. */
  | { readonly kind: 'all-trust' | 'all-renew' }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'pause' | 'resume' | 'rollback' }
  | { readonly kind: 'problem'; readonly is: boolean };

const PROXIES = 3;
const LIFE_MS = 1000;
const anyProxy = fc.nat({ max: PROXIES - 1 });
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 14, arbitrary: fc.constant<Event>({ kind: 'look' }) },
  { weight: 3, arbitrary: fc.constant<Event>({ kind: 'look-and-die' }) },
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constantFrom('trust', 'renew', 'leave', 'return'), proxy: anyProxy }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('all-trust', 'all-renew') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass'), ms: fc.nat({ max: LIFE_MS / 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('pause', 'resume', 'resume', 'rollback', 'rollback') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('problem'), is: fc.boolean() }) },
) as fc.Arbitrary<Event>;

interface World {
  now: number;
  rotation: Rotation;
  issuing: 'old' | 'new';
  trusted: Set<'old' | 'new'>;
  problem: boolean;
  proxies: { connected: boolean; trusts: Set<string>; leaf: { root: 'old' | 'new'; notAfter: number } }[];
}

function createWorld(first: Rotation): World {
  return {
    now: START,
    rotation: first,
    issuing: 'old',
    trusted: new Set(first.kind === 'switch' ? ['old', 'new'] : ['old']),
    problem: false,
    proxies: Array.from({ length: PROXIES }, () => ({
      connected: true,
      trusts: new Set(['old']),
      leaf: { root: 'old' as const, notAfter: START + LIFE_MS },
    })),
  };
}

const backendOf = (world: World, root: 'old' | 'new') => (root === 'old' ? world.rotation.from : world.rotation.to);
const alive = (world: World) => world.proxies.filter((one) => one.connected || one.leaf.notAfter > world.now);

function sight(world: World): Sighting {
  return {
    now: world.now,
    issuing: world.issuing,
    otherKept: world.trusted.size === 2,
    newRoots: world.trusted.has('new') ? NEW : new Set(),
    oldRoots: OLD,
    problem: world.problem ? { reason: 'No', message: 'no' } : undefined,
    proxies: world.proxies.map(({ connected, trusts, leaf }, index) => ({
      name: `p${index}`,
      services: ['s'],
      connected,
      trusts: new Set(trusts),
      leaf: { ...leaf, backend: backendOf(world, leaf.root) },
      problem: undefined,
    })),
  };
}

/** Does it, after the rule that must never be broken was looked at. */
function act(world: World, action: RotationAction): void {
  const graceOver =
    world.rotation.offlineGraceMs !== undefined &&
    world.now >= Date.parse(world.rotation.phaseSince) + world.rotation.offlineGraceMs;
  const matter = graceOver ? world.proxies.filter((one) => one.connected) : alive(world);
  if (action === 'prepare') world.trusted.add('new');
  if (action === 'activate' || action === 'restore') {
    const next = action === 'activate' ? 'new' : 'old';
    // Everybody who may meet a leaf of that CA trusts it.
    expect(matter.every(({ trusts }) => trusts.has(next))).toBe(true);
    world.issuing = next;
  }
  if (action === 'retire') {
    const dropped = world.issuing === 'old' ? 'new' : 'old';
    expect(matter.every(({ leaf }) => leaf.root !== dropped)).toBe(true);
    world.trusted.delete(dropped);
  }
}

function look(world: World, dies: boolean): boolean {
  const step = nextStep(world.rotation, sight(world));
  if (step.kind === 'act') act(world, step.action);
  if (step.kind === 'enter' && !dies) world.rotation = step.rotation;
  return step.kind === 'act' || step.kind === 'enter';
}

function happen(world: World, event: Event): void {
  switch (event.kind) {
    case 'look':
    case 'look-and-die':
      look(world, event.kind === 'look-and-die');
      return;
    case 'pass':
      world.now += event.ms;
      // Who is connected is renewed before its leaf runs out.
      for (const one of world.proxies) if (one.connected && one.leaf.notAfter <= world.now) renewLeaf(world, one);
      return;
    case 'all-trust':
      for (const one of world.proxies) if (one.connected) one.trusts = new Set(world.trusted);
      return;
    case 'all-renew':
      for (const one of world.proxies) if (one.connected) renewLeaf(world, one);
      return;
    case 'pause':
    case 'resume':
      world.rotation = { ...world.rotation, paused: event.kind === 'pause' };
      return;
    case 'rollback':
      if (!isEnded(world.rotation) && world.trusted.size === 2)
        world.rotation = enter(world.rotation, 'RollingBack', world.now);
      return;
    case 'problem':
      world.problem = event.is;
      return;
    default: {
      const one = world.proxies[event.proxy]!;
      if (event.kind === 'leave') one.connected = false;
      if (event.kind === 'return') one.connected = true;
      if (one.connected && event.kind === 'trust') one.trusts = new Set(world.trusted);
      if (one.connected && event.kind === 'renew') renewLeaf(world, one);
    }
  }
}

function renewLeaf(world: World, one: World['proxies'][number]): void {
  one.trusts = new Set(world.trusted);
  one.leaf = { root: world.issuing, notAfter: world.now + LIFE_MS };
}

const anyRotation = fc
  .record({
    kind: fc.constantFrom('switch' as const, 'renew' as const),
    dropOld: fc.boolean(),
    offlineGraceMs: fc.option(fc.nat({ max: 2 * LIFE_MS }), { nil: undefined }),
  })
  .map(({ kind, offlineGraceMs, ...rest }) =>
    rotation({
      kind,
      to: kind === 'renew' ? 'ca-1' : 'ca-2',
      ...rest,
      ...(offlineGraceMs === undefined ? {} : { offlineGraceMs }),
    }),
  );

describe('whatever happens, in any order', () => {
  it('skips no step, and comes to an end when the proxies do their part', () => {
    fc.assert(
      fc.property(anyRotation, fc.array(anyEvent, { maxLength: 80, size: 'max' }), (first, events) => {
        const world = createWorld(first);
        for (const event of events) happen(world, event);
        // From here on nothing is in the way.
        happen(world, { kind: 'resume' });
        happen(world, { kind: 'problem', is: false });
        for (let round = 0; round < 20 && !isEnded(world.rotation); round += 1) {
          for (const one of world.proxies) {
            one.connected = true;
            renewLeaf(world, one);
          }
          look(world, false);
        }
        expect(isEnded(world.rotation)).toBe(true);
        if (world.rotation.phase === 'Done') expect(world.issuing).toBe('new');
        if (world.rotation.phase === 'RolledBack') expect(world.issuing).toBe('old');
        if (world.rotation.phase === 'Done' && (first.dropOld || first.kind === 'renew'))
          expect(world.trusted).toEqual(new Set(['new']));
      }),
      { numRuns: 2000 },
    );
  });
});
