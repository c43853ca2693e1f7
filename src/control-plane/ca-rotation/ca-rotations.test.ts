import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CaDependencies } from '../../ca/backend.ts';
import { builtinCa } from '../../ca/builtin.ts';
import { providedCa } from '../../ca/provided.ts';
import type { BackendState, IdentityEvent } from '../../identity/identity.ts';
import { silentLogger } from '../../lib/log.ts';
import type { MeshMtls, MeshSpec } from '../../resources/kinds/mesh.ts';
import type { Resource } from '../../resources/resource.ts';
import { createMemoryStore } from '../../store/memory.ts';
import type { ResourceStore } from '../../store/store.ts';
import { createCaDependencies } from '../../testing/ca-contract.ts';
import { createDrivenClock, type DrivenClock } from '../../testing/fakes/driven-clock.ts';
import { readNode } from '../../x509/certificate.ts';
import { parseCertificates } from '../../x509/chain.ts';
import { fingerprintsOf } from '../../x509/fingerprints.ts';
import { createSecretAccess } from '../secrets.ts';
import { type CaRotationService, createCaRotations } from './ca-rotations.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const NAMES = ['api-1', 'web-1', 'web-2'];
const meta = (mesh: string, name: string) => ({
  mesh,
  name,
  labels: {},
  creationTime: '',
  modificationTime: '',
  version: '',
});

let clock: DrivenClock;
let store: ResourceStore;
let deps: CaDependencies;
let rotations: CaRotationService;
let backends: BackendState[];
let listeners: Set<(event: IdentityEvent) => void>;
let leading: { stop: AbortController; done: Promise<void> } | undefined;
/** Proxies that have stopped answering. */
let silent: Set<string>;
/** What each proxy presents. */
let presented: Map<string, { backend: string; root: string }>;

function create(): CaRotationService {
  return createCaRotations({
    store,
    caKinds: [builtinCa, providedCa],
    caDependencies: deps,
    identity: {
      backends: () => backends,
      subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    dataplanes: () =>
      NAMES.map((name) => ({
        type: 'Dataplane',
        meta: meta('default', name),
        spec: { networking: { inbound: [{ port: 1, tags: { 'kuma.io/service': name.slice(0, -2) } }] } },
      })) as unknown as Resource<never>[],
    clock,
    log: silentLogger,
  });
}

function lead(): void {
  rotations = create();
  const stop = new AbortController();
  leading = { stop, done: rotations.lead(stop.signal) };
}

/** As a kill: whatever was under way is not finished. */
async function die(): Promise<void> {
  leading?.stop.abort();
  await clock.advance(0);
  await leading?.done;
  leading = undefined;
}

const mtlsOf = async (): Promise<MeshMtls> =>
  ((await store.get({ type: 'Mesh', mesh: '', name: 'default' }))!.spec as MeshSpec).mtls!;

async function putMesh(mtls: MeshMtls): Promise<void> {
  await store.transact([{ op: 'put', resource: { type: 'Mesh', meta: meta('', 'default'), spec: { mtls } } }]);
}

/** What the control planes and Envoys do with the Mesh as it is now: bundles are acknowledged, leaves issued and taken. */
async function proxiesCatchUp(): Promise<void> {
  const mtls = await mtlsOf();
  backends = [];
  const roots: string[] = [];
  let issuing = '';
  for (const { name, type = '', conf = {} } of mtls.backends ?? []) {
    const kind = type === 'builtin' ? builtinCa : providedCa;
    const config = { mesh: 'default', name: name!, type, conf };
    await kind.ensure?.(config, deps);
    const {
      pem,
      issuingPem = pem,
      notAfter,
    } = await kind.open(config, deps).trustAnchors(new AbortController().signal);
    const current = fingerprintsOf(issuingPem);
    roots.push(...fingerprintsOf(pem));
    if (name === mtls.enabledBackend) issuing = current[0]!;
    backends.push({
      name: name!,
      type,
      enabled: name === mtls.enabledBackend,
      state: 'Ready',
      reason: 'Ready',
      message: '',
      since: 0,
      waiting: 0,
      inFlight: 0,
      roots: current.map((fingerprint) => ({
        subject: '',
        fingerprint: fingerprint.toUpperCase(),
        notBefore: readNode(parseCertificates(issuingPem)[0]!).validFromDate.getTime(),
        notAfter,
        current: true,
      })),
    });
  }
  for (const name of NAMES) {
    if (silent.has(name)) continue;
    presented.set(name, { backend: mtls.enabledBackend!, root: issuing });
  }
  await writeInsights(mtls, roots);
  for (const listener of listeners) listener({ kind: 'backends', mesh: 'default' });
}

async function writeInsights(mtls: MeshMtls, roots: readonly string[]): Promise<void> {
  const notAfter = new Date(clock.now() + DAY).toISOString();
  await store.transact(
    NAMES.filter((name) => !silent.has(name)).map((name) => ({
      op: 'put',
      resource: {
        type: 'DataplaneInsight',
        meta: meta('default', name),
        spec: {
          subscriptions: [{ id: 's', connectTime: '2026-01-01T00:00:00Z' }],
          mTLS: {
            issuedBackend: mtls.enabledBackend,
            supportedBackends: mtls.backends!.map((backend) => backend.name),
          },
          weft: { acknowledged: { roots, certificate: { serial: '1', notAfter, ...presented.get(name) } } },
        },
      },
    })),
  );
}

/** Time for a few looks; proxies follow what was done after each. */
async function go(rounds = 8): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await clock.advance(500);
    await proxiesCatchUp();
  }
  await clock.advance(500);
}

const phase = async () => (await rotations.status('default'))?.rotation.phase;
const REQUEST = { to: 'ca-2', renew: false, offline: 'wait', dropOld: false };

beforeEach(async () => {
  clock = createDrivenClock(Date.UTC(2026, 0, 1));
  store = createMemoryStore({ clock });
  deps = createCaDependencies({ secrets: createSecretAccess(store), now: () => clock.now() });
  listeners = new Set();
  silent = new Set();
  presented = new Map();
  await putMesh({
    enabledBackend: 'ca-1',
    backends: [
      { name: 'ca-1', type: 'builtin' },
      { name: 'ca-2', type: 'builtin' },
    ],
  });
  await proxiesCatchUp();
  lead();
  await clock.advance(500);
});
afterEach(die);

describe('a rotation', () => {
  it('switches the backend and takes the old one off the list, and says how far each service is', async () => {
    await rotations.start('default', { ...REQUEST, dropOld: true }, 'me');
    await go();
    expect(await phase()).toBe('Done');
    expect(await mtlsOf()).toEqual({ enabledBackend: 'ca-2', backends: [{ name: 'ca-2', type: 'builtin' }] });
    const counts = { connected: 0, offline: 0, trusting: 0, renewed: 0 };
    const all = (proxies: number) => ({ ...counts, proxies, connected: proxies, trusting: proxies, renewed: proxies });
    expect((await rotations.status('default'))?.progress).toEqual({
      total: all(3),
      services: [
        { service: 'api', ...all(1) },
        { service: 'web', ...all(2) },
      ],
    });
    expect(rotations.view('default')?.rotation.phase).toBe('Done');
  });

  it('waits for a proxy that does not acknowledge, goes on when it does, and can be paused', async () => {
    await putMesh({
      ...(await mtlsOf()),
      backends: [...(await mtlsOf()).backends!, { name: 'ca-3', type: 'builtin' }],
    });
    silent.add('web-2');
    await rotations.start('default', { ...REQUEST, to: 'ca-3' }, 'me');
    await go();
    expect(await rotations.status('default')).toMatchObject({
      rotation: { phase: 'Trusting' },
      waiting: { reason: 'ProxiesToTrust', proxies: ['web-2'] },
    });
    await rotations.pause('default', true);
    silent.clear();
    await go();
    expect(await rotations.status('default')).toMatchObject({ waiting: { reason: 'Paused' } });
    expect((await mtlsOf()).enabledBackend).toBe('ca-1');
    await rotations.pause('default', false);
    await go();
    expect(await phase()).toBe('Done');
    expect((await mtlsOf()).backends).toHaveLength(3);
  });

  it('is taken back while certificates are replaced', async () => {
    await rotations.start('default', REQUEST, 'me');
    await clock.advance(500);
    expect((await mtlsOf()).enabledBackend).toBe('ca-2');
    silent.add('api-1');
    await go();
    expect(await rotations.status('default')).toMatchObject({
      rotation: { phase: 'Issuing' },
      waiting: { reason: 'ProxiesToRenew', proxies: ['api-1'] },
    });
    await rotations.rollBack('default');
    await go();
    expect(await phase()).toBe('RolledBack');
    expect((await mtlsOf()).enabledBackend).toBe('ca-1');
  });

  it('ends when mTLS is switched off', async () => {
    silent.add('web-1');
    await putMesh({
      ...(await mtlsOf()),
      backends: [...(await mtlsOf()).backends!, { name: 'ca-3', type: 'builtin' }],
    });
    await rotations.start('default', { ...REQUEST, to: 'ca-3' }, 'me');
    await go(1);
    await store.transact([{ op: 'put', resource: { type: 'Mesh', meta: meta('', 'default'), spec: {} } }]);
    await clock.advance(1000);
    expect(await rotations.status('default')).toMatchObject({
      rotation: { phase: 'Cancelled', message: 'mTLS was switched off' },
    });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'goes on after a control plane that was killed, the %ith time it wrote',
    async (fatal) => {
      const transact = store.transact.bind(store);
      let writes = 0;
      let dead = false;
      const dying = async <T>(write: () => Promise<T>): Promise<T> => {
        if (dead) throw new Error('killed');
        const done = await write();
        writes += 1;
        dead = writes === fatal;
        return done;
      };
      await die();
      const whole = store;
      store = {
        ...whole,
        update: (resource, version) => dying(() => whole.update(resource, version)),
        create: (resource) => dying(() => whole.create(resource)),
        transact: (batch) => dying(() => transact(batch)),
      };
      deps = createCaDependencies({ secrets: createSecretAccess(store), now: () => clock.now() });
      lead();
      await clock.advance(500);
      await rotations.start('default', { ...REQUEST, to: 'ca-1', renew: true }, 'me').catch(() => undefined);
      for (let round = 0; round < 8; round += 1) {
        await clock.advance(500);
        await withStore(whole, proxiesCatchUp);
      }
      await die();
      store = whole;
      deps = createCaDependencies({ secrets: createSecretAccess(store), now: () => clock.now() });
      lead();
      // Keys are made in real time, which a busy machine has little of.
      for (let more = 0; more < 50 && (await phase()) !== 'Done'; more += 1) await go(1);
      expect(await phase()).toBe('Done');
      expect(
        await builtinCa.renewal!.state({ mesh: 'default', name: 'ca-1', type: 'builtin', conf: {} }, deps),
      ).toMatchObject({
        next: undefined,
        former: undefined,
      });
    },
  );
});

/** Proxies and their control planes do not die with the leader. */
async function withStore(whole: ResourceStore, run: () => Promise<void>): Promise<void> {
  const [mine, myDeps] = [store, deps];
  store = whole;
  deps = createCaDependencies({ secrets: createSecretAccess(whole), now: () => clock.now() });
  await run();
  [store, deps] = [mine, myDeps];
}

describe('a request', () => {
  it.each([
    ['a backend that is not listed', { to: 'ca-9' }, 'invalid', /first apply the Mesh with it/],
    ['the backend that issues', { to: 'ca-1' }, 'invalid', /issues already/],
    ['a duration that is none', { offline: 'soon' }, 'invalid', /neither wait nor a duration/],
    ['a new CA for a backend that issues nothing', { renew: true }, 'invalid', /issues nothing/],
  ])('is refused: %s', async (_what, change, code, message) => {
    await expect(rotations.start('default', { ...REQUEST, ...change }, 'me')).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(await rotations.status('default')).toBeUndefined();
  });

  it('for the same again is the one that runs; for another one it is a conflict', async () => {
    silent.add('web-1');
    const first = await rotations.start('default', REQUEST, 'me');
    expect((await rotations.start('default', REQUEST, 'you')).rotation).toEqual(first.rotation);
    const other = rotations.start('default', { ...REQUEST, to: 'ca-1', renew: true }, 'you');
    await expect(other).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('--rollback') });
  });

  it('to take back what is not under way is refused', async () => {
    await expect(rotations.rollBack('default')).rejects.toMatchObject({ code: 'missing' });
  });
});

describe('a builtin CA', () => {
  const config = { mesh: 'default', name: 'ca-3', type: 'builtin', conf: { caCert: { expiration: '4h' } } };

  it('is followed by the next one at half of its life, by itself', async () => {
    const state = () => builtinCa.renewal!.state(config, deps);
    await putMesh({
      enabledBackend: 'ca-3',
      backends: [{ ...config, name: 'ca-3' }].map(({ mesh: _, ...one }) => one),
    });
    await proxiesCatchUp();
    config.name = 'ca-3';
    const first = (await state()).signing;
    await clock.advance(119 * MINUTE);
    await proxiesCatchUp();
    expect((await state()).signing).toBe(first);
    expect(await rotations.status('default')).toBeUndefined();
    await clock.advance(2 * MINUTE);
    // The next CA is made in real time.
    for (let round = 0; round < 400 && (await phase()) !== 'Done'; round += 1) {
      await go(1);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await rotations.status('default')).toMatchObject({
      rotation: { kind: 'renew', phase: 'Done', startedBy: 'control plane' },
    });
    expect((await state()).signing).not.toBe(first);
  });

  it('F9 builtin: that expired while no control plane ran is followed by the next one as soon as one does', async () => {
    const { mesh: _, ...backend } = config;
    await putMesh({ enabledBackend: 'ca-3', backends: [backend] });
    await proxiesCatchUp();
    await die();
    clock.step(5 * 60 * MINUTE);
    lead();
    await go();
    expect(await rotations.status('default')).toMatchObject({ rotation: { kind: 'renew', phase: 'Done' } });
    const { notAfter } = await builtinCa.open(config, deps).trustAnchors(new AbortController().signal);
    expect(notAfter).toBeGreaterThan(clock.now() + 239 * MINUTE);
  });

  it('of a backend that issues nothing is replaced without anybody waiting', async () => {
    const { mesh: _, ...backend } = config;
    await putMesh({ enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }, backend] });
    await proxiesCatchUp();
    const before = (await builtinCa.renewal!.state(config, deps)).signing;
    await clock.advance(121 * MINUTE);
    const renewed = () => builtinCa.renewal!.state(config, deps);
    // Keys are made in real time.
    for (let wait = 0; wait < 500 && (await renewed()).signing === before; wait += 1) await sleep(10);
    await clock.advance(100);
    expect(await renewed()).toEqual({ signing: expect.any(String), next: undefined, former: undefined });
    expect((await renewed()).signing).not.toBe(before);
    expect(await rotations.status('default')).toBeUndefined();
  });
});
