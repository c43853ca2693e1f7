import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CaBackendKind, CaDependencies, Chain, SigningRequest } from '../ca/backend.ts';
import { CaError } from '../ca/backend.ts';
import { builtinCa } from '../ca/builtin.ts';
import { silentLogger } from '../lib/log.ts';
import { createMetrics, type Metrics } from '../lib/metrics.ts';
import { createCaDependencies } from '../testing/ca-contract.ts';
import { createTestCa, createTestLeaf, type TestCertificate } from '../testing/certificates.ts';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { signedRequest } from '../testing/signed-request.ts';
import { CLIENT_AUTH, KEY_USAGE, SERVER_AUTH } from '../x509/certificate.ts';
import { generateEcKey, toPkcs8Pem } from '../x509/key.ts';
import type { BackendMemories, BackendMemory } from './coordinator-memory.ts';
import { type MeshDistrust, NO_DISTRUST } from './distrust.ts';
import { leafHistory } from './history.ts';
import type { DesiredIdentity, IdentityEvent, IdentityService } from './identity.ts';
import { ProxyKeyError, type SignedRequest, type WantedCsr } from './proxy-key.ts';
import { createSealer, type LeafRecord, type LeafRecords } from './sealed.ts';
import { createIdentityService } from './service.ts';

const HOUR = 3_600_000;
const URI_SANS = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
const WEB = { mesh: 'default', name: 'web-1' };
let deps: CaDependencies;
const wanted = (change: Partial<DesiredIdentity> = {}): DesiredIdentity => ({
  backend: 'ca-1',
  uriSans: URI_SANS,
  lifetimeMs: HOUR,
  keyType: 'ec-p256',
  ...change,
});
const mtls = (...names: string[]) => ({
  enabledBackend: names[0]!,
  backends: names.map((name) => ({ name, type: 'fake', conf: { ca: name } })),
});

let clock: DrivenClock;
let ca: TestCertificate;
let service: IdentityService;
let events: IdentityEvent[];
let metrics: Metrics;
let stored: Map<string, LeafRecord>;
let remembered: Map<string, BackendMemory>;
let logged: string[];
/** What the issuer answers now; tests replace it. */
let answer: (request: SigningRequest) => Promise<Chain>;
let signings: SigningRequest[];
/** Answers that are being made. */
let answering: number;
const sealingKey = randomBytes(32);

const good = async (request: SigningRequest): Promise<Chain> => ({ pem: (await signed(request)).pem });

/** A good leaf for the request unless `change` says otherwise. */
function signed(
  request: SigningRequest,
  change: Parameters<typeof createTestLeaf>[1] = {},
  issuer = ca,
): Promise<TestCertificate> {
  return createTestLeaf(issuer, {
    now: clock.now(),
    uriSans: request.uriSans,
    to: request.lifetimeMs,
    keys: { ...generateEcKey(), publicKey: Buffer.from(request.publicKey) },
    ...change,
  });
}

/** Time stands still while this is answered. */
function inRealTime<T>(call: () => Promise<T>): Promise<T> {
  answering += 1;
  return call().finally(() => (answering -= 1));
}

/** A CA backend whose answers the test decides. Backends whose name starts with `broken` never say what to trust. */
const fakeKind: CaBackendKind = {
  type: 'fake',
  validate: async () => [],
  usedSecrets: () => ['the-secret'],
  open: (config) => ({
    trustAnchors: () =>
      inRealTime(async () => {
        if (config.name.startsWith('broken')) throw new CaError('unavailable', 'connection refused');
        return { pem: ca.pem, notAfter: clock.now() + 365 * 24 * HOUR };
      }),
    sign(request) {
      signings.push(request);
      return inRealTime(() => answer(request));
    },
  }),
};

function createService(kinds: readonly CaBackendKind[] = [fakeKind], random = () => 0.5): IdentityService {
  const records: LeafRecords = {
    load: async () => [...stored.values()],
    async save(saved) {
      for (const record of saved) stored.set(`${record.proxy.mesh}/${record.proxy.name}`, record);
    },
    async remove(proxies) {
      for (const proxy of proxies) stored.delete(`${proxy.mesh}/${proxy.name}`);
    },
  };
  const memories: BackendMemories = {
    load: async () => [...remembered.values()],
    async save(saved) {
      for (const one of saved) remembered.set(`${one.mesh}/${one.backend}`, one);
    },
    async remove(gone) {
      for (const { mesh, backend } of gone) remembered.delete(`${mesh}/${backend}`);
    },
  };
  const log = { ...silentLogger, named: () => log };
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    log[level] = (message, fields) => void logged.push(`${message} ${JSON.stringify(fields)}`);
  }
  metrics = createMetrics();
  const made = createIdentityService({
    caKinds: kinds,
    caDependencies: deps,
    records,
    memories,
    sealingKey,
    clock,
    random,
    log,
    metrics,
  });
  made.subscribe((event) => events.push(event));
  return made;
}

beforeEach(async () => {
  answering = 0;
  deps = createCaDependencies({ now: () => clock.now() });
  clock = createDrivenClock(Date.now(), () => answering > 0);
  ca = await createTestCa({ now: clock.now() });
  await createTestLeaf(ca);
  events = [];
  stored = new Map();
  remembered = new Map();
  logged = [];
  signings = [];
  answer = good;
  service = createService();
});
afterEach(() => service.close());

const leafEvents = () => events.filter((event) => event.kind === 'leaf');
const serialOf = (name = 'web-1', mesh = 'default') => service.state({ mesh, name }).leaf?.serial;

describe('issuing', () => {
  it('issues once, and nothing more while nothing that concerns the leaf changes', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    const serial = serialOf();
    expect(serial).toMatch(/^[0-9a-f]+$/);
    service.want(WEB, wanted({ requestTimeoutMs: 5000 }));
    service.setMesh('default', { ...mtls('ca-1'), skipValidation: true });
    service.setMesh('default', mtls('ca-1', 'ca-2'));
    await clock.advance(60_000);
    expect([serialOf(), signings.length]).toEqual([serial, 1]);
    expect(leafEvents()).toMatchObject([{ proxy: WEB, reason: 'none-held', leaf: { generation: 1, backend: 'ca-1' } }]);
    expect(service.bundle('default')).toMatchObject({ backends: ['ca-1', 'ca-2'], pem: ca.pem });
  });

  it('renews between 70 and 80 % of the life, ten times, without a storm', async () => {
    service.setMesh('default', mtls('ca-1'));
    for (let proxy = 0; proxy < 5; proxy += 1)
      service.want({ mesh: 'default', name: `p-${proxy}` }, wanted({ lifetimeMs: 60_000 }));
    await clock.advance(1000);
    expect(signings.length).toBe(5);
    await clock.advance(10 * 45_000 + 5000);
    // Leaves that were issued together are renewed apart, so some are a little ahead.
    expect(signings.length).toBeGreaterThanOrEqual(5 * 10);
    expect(signings.length).toBeLessThanOrEqual(5 * 12);
    expect(serialOf('p-0')).toBeDefined();
  });

  it('renews in the time that was asked for, and no more often, where an issuer gives more', async () => {
    answer = async (request) => ({ pem: (await signed({ ...request, lifetimeMs: 300 * HOUR })).pem });
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(0.69 * HOUR);
    expect(signings.length).toBe(1);
    await clock.advance(0.12 * HOUR);
    expect(signings.length).toBe(2);
  });

  it('renews before the end of a CA that ends before the life asked for', async () => {
    const end = clock.now() + HOUR;
    ca = await createTestCa({ now: clock.now(), to: HOUR });
    answer = async (request) => ({ pem: (await signed({ ...request, lifetimeMs: end - clock.now() })).pem });
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted({ lifetimeMs: 24 * HOUR }));
    await clock.advance(1000);
    const { leaf } = service.state(WEB);
    expect(leaf!.notAfter).toBeLessThanOrEqual(end);
    expect(end - leaf!.renewAt).toBeGreaterThanOrEqual(0.2 * HOUR - 1000);
  });

  it('shows in its metrics when leaves and CAs end, and who waits for a leaf', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    answer = async () => {
      throw new CaError('unavailable', 'connection refused');
    };
    service.want({ mesh: 'default', name: 'web-2' }, wanted());
    await clock.advance(1000);
    const text = await metrics.metrics();
    const read = (series: string) =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.split(' ')[1],
      );
    const { notAfter } = service.state(WEB).leaf!;
    const of = 'mesh="default",service="web",backend="ca-1"';
    expect(read(`weft_certificate_expiry_timestamp_seconds{${of}}`)).toBe(notAfter / 1000);
    expect(read(`weft_certificate_expiry_seconds_left{${of}}`)).toBe((notAfter - clock.now()) / 1000);
    expect(read(`weft_certificates{${of},state="valid"}`)).toBe(1);
    expect(read(`weft_certificates{${of},state="none"}`)).toBe(1);
    const [root] = service.backends('default')[0]!.roots;
    const ofCa = `mesh="default",backend="ca-1",fingerprint="${root!.fingerprint}",current="true"`;
    expect(read(`weft_ca_expiry_seconds_left{${ofCa}}`)).toBe((root!.notAfter - clock.now()) / 1000);
    const ofBackend = 'mesh="default",backend="ca-1"';
    expect(read(`weft_issuance_failing_proxies{${ofBackend}}`)).toBe(1);
    expect(read(`weft_issuance_oldest_failure_seconds{${ofBackend}}`)).toBeCloseTo(1, 1);
    expect(read(`weft_issuance_last_failure_timestamp_seconds{${ofBackend}}`)).toBeCloseTo(clock.now() / 1000 - 1, 1);
    expect(read('cert_generation_backoff')).toBe(1);
    expect(read('cert_generation_circuit_open')).toBe(0);
    expect(text).not.toContain('web-1');
  });

  it('issues what is wanted at the end, when that changes on the way', async () => {
    service.setMesh('default', mtls('ca-1'));
    answer = async (request) => {
      // Between the question and the answer the Dataplane gets other tags.
      if (signings.length === 1)
        service.want(WEB, wanted({ uriSans: ['spiffe://default/other', 'kuma://kuma.io/service/other'] }));
      return good(request);
    };
    service.want(WEB, wanted());
    await clock.advance(1000);
    expect(service.state(WEB).leaf?.uriSans).toEqual(['spiffe://default/other', 'kuma://kuma.io/service/other']);
  });

  it('restores what was sealed: a restart issues nothing', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    const serial = serialOf();
    await service.close();
    expect(JSON.stringify([...stored.values()])).not.toContain('PRIVATE KEY');
    service = createService();
    await service.start();
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    expect([serialOf(), signings.length]).toEqual([serial, 1]);
  });

  it('serves a thousand proxies at once from a builtin CA and keeps the event loop free', async () => {
    service = createService([builtinCa]);
    const config = { mesh: 'default', name: 'ca-1', type: 'builtin', conf: {} };
    const deps = createCaDependencies({ now: () => clock.now() });
    await builtinCa.ensure!(config, deps);
    const real = createIdentityService({
      caKinds: [builtinCa],
      caDependencies: deps,
      records: { load: async () => [], save: async () => undefined, remove: async () => undefined },
      memories: { load: async () => [], save: async () => undefined, remove: async () => undefined },
      sealingKey,
      clock,
      random: Math.random,
      log: silentLogger,
      metrics: createMetrics(),
    });
    real.setMesh('default', { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] });
    let turns = 0;
    const counter = setInterval(() => {
      turns += 1;
    }, 1);
    for (let proxy = 0; proxy < 1000; proxy += 1) real.want({ mesh: 'default', name: `p-${proxy}` }, wanted());
    const missing = () =>
      Array.from({ length: 1000 }, (_, proxy) => real.state({ mesh: 'default', name: `p-${proxy}` }).leaf).filter(
        (leaf) => !leaf,
      ).length;
    while (missing() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    clearInterval(counter);
    expect(turns).toBeGreaterThan(10);
    await real.close();
  });
});

describe('a key beside the proxy', () => {
  const own = (change: Partial<DesiredIdentity> = {}) => wanted({ keys: 'proxy', ...change });
  /** A launcher with these keys that answers with `make`; `asked` counts. */
  function launcher(make: (wanted: WantedCsr) => SignedRequest, ...keys: string[]) {
    const known = new Set(keys);
    const holder = {
      asked: 0,
      holds: (keyId: string) => known.has(keyId),
      made: (keyId: string) => void known.add(keyId),
      request(csr: WantedCsr) {
        holder.asked += 1;
        return inRealTime(async () => make(csr));
      },
    };
    return holder;
  }
  const honest = (csr: WantedCsr) => signedRequest(generateEcKey(), csr);

  beforeEach(() => service.setMesh('default', mtls('ca-1')));

  it('gets a leaf when its launcher is there, which is held without the key', async () => {
    service.want(WEB, own());
    await clock.advance(10_000);
    expect(service.state(WEB).failure).toBeUndefined();
    await clock.advance(50_000);
    expect(signings.length).toBe(0);
    expect(events.filter(({ kind }) => kind === 'failure')).toHaveLength(1);
    expect(service.state(WEB).failure?.message).toContain('its launcher makes its key, and is not connected');
    service.setKeyHolder(WEB, launcher(honest));
    await clock.advance(1000);
    expect(service.state(WEB).failure).toBeUndefined();
    const leaf = service.state(WEB).leaf!;
    expect(leaf).not.toHaveProperty('keyPem');
    expect(leaf.keyId).toMatch(/^[0-9a-f]{64}$/);
    expect(signings[0]).toMatchObject({ keyIsElsewhere: true });
    expect(signings[0]).not.toHaveProperty('sealedKey');
    await service.close();
    expect(createSealer(sealingKey).open([...stored.values()][0]!)).not.toHaveProperty('keyPem');

    // After a restart of both it is the same leaf.
    service = createService();
    await service.start();
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, own());
    service.setKeyHolder(WEB, launcher(honest, leaf.keyId!));
    await clock.advance(1000);
    expect([serialOf(), signings.length]).toEqual([leaf.serial, 1]);
  });

  it('is a new one with each leaf', async () => {
    const holder = launcher(honest);
    service.want(WEB, own());
    service.setKeyHolder(WEB, holder);
    await clock.advance(1000);
    const { keyId } = service.state(WEB).leaf!;
    await clock.advance(0.81 * HOUR);
    expect(service.state(WEB).leaf).toMatchObject({ generation: 2, reason: 'due' });
    expect(service.state(WEB).leaf!.keyId).not.toBe(keyId);
    expect(holder.asked).toBe(2);
  });

  it('replaces one that was made here, and the other way round', async () => {
    service.want(WEB, wanted());
    await clock.advance(1000);
    service.setKeyHolder(WEB, launcher(honest));
    service.want(WEB, own());
    await clock.advance(1000);
    expect(service.state(WEB).leaf).toMatchObject({ generation: 2, reason: 'key-moved' });
    service.setKeyHolder(WEB, undefined);
    service.want(WEB, wanted());
    await clock.advance(1000);
    expect(service.state(WEB).leaf).toMatchObject({ generation: 3, reason: 'key-moved', keyPem: expect.anything() });
  });

  it('that is lost costs one leaf, and one that is lost each time costs fewer and fewer', async () => {
    service.want(WEB, own());
    for (let time = 0; time < 20; time += 1) {
      service.setKeyHolder(WEB, launcher(honest));
      await clock.advance(1000);
      service.setKeyHolder(WEB, undefined);
    }
    expect(signings.length).toBe(4);
    const { serial } = service.state(WEB).leaf!;
    service.setKeyHolder(WEB, launcher(honest));
    await clock.advance(60_000);
    expect(serialOf()).not.toBe(serial);
    expect(signings.length).toBe(5);
  });

  it('asks no issuer for what a hostile launcher sends, leaves it alone for longer and longer, and serves the others', async () => {
    const hostile = launcher(() => ({ publicKey: Buffer.from('garbage'), signature: Buffer.alloc(0) }));
    service.want(WEB, own());
    service.setKeyHolder(WEB, hostile);
    await clock.advance(120_000);
    expect(hostile.asked).toBeLessThan(10);
    expect(signings.length).toBe(0);
    expect(service.state(WEB).failure?.message).toContain('the certificate request of its launcher was refused');
    expect(service.backends('default')[0]).toMatchObject({ state: 'Ready' });
    const api = { mesh: 'default', name: 'api-1' };
    service.want(api, own());
    service.setKeyHolder(api, launcher(honest));
    await clock.advance(1000);
    expect(service.state(api).leaf).toBeDefined();
  });

  it('is refused when another proxy has it', async () => {
    const key = generateEcKey();
    const same = (csr: WantedCsr) => signedRequest(key, csr);
    const api = { mesh: 'default', name: 'api-1' };
    for (const proxy of [WEB, api]) {
      service.want(proxy, own());
      service.setKeyHolder(proxy, launcher(same));
      await clock.advance(1000);
    }
    expect(serialOf()).toBeDefined();
    expect(service.state(api)).toMatchObject({ leaf: undefined, failure: { message: /used before/ } });
  });

  it('waits for a launcher that left before it answered, as if it had not been there', async () => {
    const left = launcher(() => {
      throw new ProxyKeyError('away', 'it left');
    });
    service.want(WEB, own());
    service.setKeyHolder(WEB, left);
    service.setKeyHolder(WEB, undefined);
    await clock.advance(1000);
    service.setKeyHolder(WEB, launcher(honest));
    await clock.advance(1000);
    expect(serialOf()).toBeDefined();
    expect(leafEvents()).toHaveLength(1);
    expect(events.filter(({ kind }) => kind === 'failure')).toEqual([]);
  });

  it('is never another one that an issuer made', async () => {
    answer = async (request) => ({
      ...(await good(request)),
      privateKeyPem: toPkcs8Pem(generateEcKey().privateKey),
    });
    service.want(WEB, own());
    service.setKeyHolder(WEB, launcher(honest));
    await clock.advance(1000);
    expect(service.state(WEB)).toMatchObject({ leaf: undefined, failure: { message: /issuer made a key/ } });
  });
});

describe('a backend that issues from another of its CAs', () => {
  it('has the leaves of the former one replaced, although what is trusted stays the same', async () => {
    await service.close();
    const other = await createTestCa({ subject: 'CN=other', now: clock.now() });
    let issuing = ca;
    const renewing: CaBackendKind = {
      ...fakeKind,
      open: (config, deps) => ({
        ...fakeKind.open(config, deps),
        trustAnchors: () =>
          inRealTime(async () => ({
            pem: ca.pem + other.pem,
            issuingPem: issuing.pem,
            notAfter: clock.now() + 365 * 24 * HOUR,
          })),
      }),
    };
    service = createService([renewing]);
    answer = async (request) => ({ pem: (await signed(request, {}, issuing)).pem });
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    const before = service.state(WEB).leaf?.anchorPem;
    const bundle = service.bundle('default');
    issuing = other;
    service.secretChanged('default', 'the-secret');
    await clock.advance(2000);
    expect(service.bundle('default')).toBe(bundle);
    expect(service.state(WEB).leaf?.anchorPem).not.toBe(before);
    expect(service.backends('default')[0]?.roots.map(({ current }) => current)).toEqual([true, false]);
  });
});

describe('another backend that is enabled', () => {
  const enable = (backend: string) => ({ ...mtls('ca-1', 'ca-2'), enabledBackend: backend });

  it('replaces the leaves of the former one each at its turn, while both are trusted', async () => {
    await service.close();
    let drawn = 0;
    service = createService([fakeKind], () => (drawn = (drawn + 0.37) % 1));
    const names = Array.from({ length: 20 }, (_, proxy) => `p-${proxy}`);
    const all = (backend: string) => {
      service.setMesh('default', enable(backend));
      for (const name of names) service.want({ mesh: 'default', name }, { ...wanted(), backend });
    };
    const moved = (backend: string) =>
      names.filter((name) => service.state({ mesh: 'default', name }).leaf?.backend === backend).length;
    all('ca-1');
    await clock.advance(1000);
    expect(moved('ca-1')).toBe(20);
    all('ca-2');
    await clock.advance(2000);
    expect(moved('ca-2')).toBeGreaterThan(0);
    expect(moved('ca-2')).toBeLessThan(10);
    // Going back before its turn costs a proxy nothing.
    const before = signings.length;
    const left = moved('ca-1');
    all('ca-1');
    await clock.advance(21_000);
    expect(signings.length - before).toBe(20 - left);
    expect(moved('ca-1')).toBe(20);
  });

  it('replaces them at once when the former one is no part of the mesh any more', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    service.setMesh('default', mtls('ca-2'));
    service.want(WEB, { ...wanted(), backend: 'ca-2' });
    await clock.advance(100);
    expect(service.state(WEB).leaf?.backend).toBe('ca-2');
  });
});

describe('renewing on request', () => {
  const names = Array.from({ length: 20 }, (_, proxy) => `p-${proxy}`);
  const generations = () => names.map((name) => service.state({ mesh: 'default', name }).leaf?.generation ?? 0);
  beforeEach(async () => {
    service.setMesh('default', mtls('ca-1'));
    for (const name of names) service.want({ mesh: 'default', name }, wanted());
    await clock.advance(1000);
  });

  it('has one proxy at once, and tells the former leaf in its history', async () => {
    const serial = serialOf('p-3');
    service.renew({ mesh: 'default', proxy: 'p-3', at: clock.now() });
    await clock.advance(100);
    expect(generations().filter((generation) => generation === 2)).toHaveLength(1);
    expect(leafHistory(service.state({ mesh: 'default', name: 'p-3' }).leaf)).toMatchObject([
      { generation: 2, reason: 'requested', backend: 'ca-1' },
      { generation: 1, reason: 'none-held', serial },
    ]);
  });

  it('spreads a mesh over a quarter of the life, each proxy once, and those that come later too', async () => {
    service.want({ mesh: 'default', name: 'p-0' }, undefined);
    service.renew({ mesh: 'default', at: clock.now() });
    const steps: number[] = [];
    for (let minute = 0; minute < 15; minute += 1) {
      await clock.advance(60_000);
      steps.push(generations().filter((generation) => generation === 2).length);
    }
    expect(steps[0]).toBeLessThan(10);
    expect(generations()).toEqual([1, ...names.slice(1).map(() => 2)]);
    service.want({ mesh: 'default', name: 'p-0' }, wanted());
    await clock.advance(1000);
    expect(generations()).toEqual(names.map(() => 2));
    expect(signings.length).toBe(40);
  });

  it('tries at once what waits after a failure, when asked by name', async () => {
    answer = async () => {
      throw new CaError('unavailable', 'connection refused');
    };
    service.want({ mesh: 'default', name: 'late' }, wanted());
    await clock.advance(100);
    answer = good;
    service.renew({ mesh: 'default', proxy: 'late', at: clock.now() });
    await clock.advance(100);
    expect(service.state({ mesh: 'default', name: 'late' })).toMatchObject({
      failure: undefined,
      leaf: { generation: 1 },
    });
  });

  it('remembers ten leaves of a proxy', async () => {
    for (let round = 0; round < 12; round += 1) {
      service.renew({ mesh: 'default', proxy: 'p-1', at: clock.now() });
      await clock.advance(1000);
    }
    const history = leafHistory(service.state({ mesh: 'default', name: 'p-1' }).leaf);
    expect(history.map(({ generation }) => generation)).toEqual([13, 12, 11, 10, 9, 8, 7, 6, 5, 4]);
  });
});

describe('distrust', () => {
  const builtin = (...names: string[]) => ({
    enabledBackend: names[0]!,
    backends: names.map((name) => ({ name, type: 'builtin' })),
  });

  /** Two proxies with leaves of the first of two builtin CAs. */
  async function twoCas(kinds: readonly CaBackendKind[] = [builtinCa], names = ['ca-1', 'ca-2']) {
    await service.close();
    deps = createCaDependencies({ now: () => clock.now() });
    for (const name of names) await builtinCa.ensure!({ mesh: 'default', name, type: 'builtin', conf: {} }, deps);
    service = createService(kinds);
    service.setMesh('default', builtin(...names));
    for (const name of ['web-1', 'api-1']) {
      const uriSans = [`spiffe://default/${name.slice(0, 3)}`, `kuma://kuma.io/service/${name.slice(0, 3)}`];
      service.want({ mesh: 'default', name }, wanted({ uriSans }));
    }
    await settled(() => serialOf('web-1') !== undefined && serialOf('api-1') !== undefined);
  }
  /** Real signatures take real time. */
  const settled = async (good: () => boolean) => {
    for (let turn = 0; turn < 500 && !good(); turn += 1) {
      await clock.advance(10);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(good()).toBe(true);
  };
  const revoke = (serial: string, epoch = 1): MeshDistrust => ({
    ...NO_DISTRUST,
    epoch,
    leaves: [{ serial, backend: 'ca-1', at: clock.now() }],
  });

  it('of a leaf: its proxy gets another one, and every CA has a CRL', async () => {
    await twoCas();
    const [web, api] = [serialOf('web-1')!, serialOf('api-1')!];
    expect(await service.notRevocable('default')).toBeUndefined();
    service.setDistrust('default', revoke(web));
    await settled(() => serialOf('web-1') !== web && service.bundle('default')?.crlPem !== undefined);
    expect(serialOf('api-1')).toBe(api);
    const bundle = service.bundle('default')!;
    expect(bundle.crlPem!.match(/BEGIN X509 CRL/g)).toHaveLength(2);
    expect(bundle).toMatchObject({ distrustEpoch: 1, backends: ['ca-1', 'ca-2'] });
    expect(leafEvents().at(-1)).toMatchObject({ reason: 'distrusted', proxy: WEB });
    // The same again is no news.
    const { length } = events;
    service.setDistrust('default', { ...service.distrust('default') });
    await clock.advance(1000);
    expect([events.length, service.bundle('default')]).toEqual([length, bundle]);
    // Lifted: no CRL, and no proxy is asked to end connections again.
    service.setDistrust('default', { ...NO_DISTRUST, epoch: 1 });
    await settled(() => service.bundle('default')?.crlPem === undefined);
    expect(service.bundle('default')?.distrustEpoch).toBe(1);
  });

  it('of a leaf, where a listed CA has no key here: another leaf, and no CRL that would refuse good ones', async () => {
    await twoCas([
      {
        ...builtinCa,
        open: (config, given) => ({
          ...builtinCa.open(config, given),
          ...(config.name === 'ca-2' ? { crl: undefined as never } : {}),
        }),
      },
    ]);
    const web = serialOf('web-1')!;
    expect(await service.notRevocable('default')).toContain('backend "ca-2" does not sign CRLs');
    service.setDistrust('default', revoke(web));
    await settled(() => serialOf('web-1') !== web && service.bundle('default')?.distrustEpoch === 1);
    expect(service.bundle('default')!.crlPem).toBeUndefined();
  });

  it('of a backend: its CA leaves the bundle, and leaves that still stand on it are replaced at once', async () => {
    await twoCas();
    const web = serialOf('web-1')!;
    const both = service.bundle('default')!.pem;
    service.setMesh('default', { ...builtin('ca-1', 'ca-2'), enabledBackend: 'ca-2' });
    for (const name of ['web-1', 'api-1']) {
      const { desired } = service.state({ mesh: 'default', name });
      service.want({ mesh: 'default', name }, { ...desired!, backend: 'ca-2' });
    }
    service.setDistrust('default', { ...NO_DISTRUST, epoch: 1, backends: ['ca-1'] });
    await settled(() => serialOf('web-1') !== web && service.bundle('default')?.backends.join() === 'ca-2');
    expect(both.length).toBeGreaterThan(service.bundle('default')!.pem.length);
    expect(service.state(WEB).leaf?.backend).toBe('ca-2');
  });
});

describe('a CA that says with its answers what to trust', () => {
  /** A backend like `certmanager` without `caCert`, with one request that a former process made. */
  const announcing = (pending?: { sealedKey: string; finish: () => Promise<Chain> }): CaBackendKind => ({
    ...fakeKind,
    open: (config, deps) => ({
      ...fakeKind.open(config, deps),
      announcesWithAnswers: true,
      resume: async (proxy) =>
        pending !== undefined && proxy === WEB.name
          ? { ...pending, finish: () => inRealTime(pending.finish) }
          : undefined,
    }),
  });
  const announced = async (request: SigningRequest): Promise<Chain> => ({
    pem: (await signed(request)).pem,
    anchorsPem: ca.pem,
  });

  it('and is replaced: its leaves are renewed spread over a second each, and the old CA goes with the last one', async () => {
    await service.close();
    let drawn = 0;
    service = createService([announcing()], () => (drawn = (drawn + 0.37) % 1));
    answer = announced;
    service.setMesh('default', mtls('ca-1'));
    const names = Array.from({ length: 20 }, (_, proxy) => `p-${proxy}`);
    for (const name of names) service.want({ mesh: 'default', name }, wanted());
    await clock.advance(1000);
    const old = ca.pem;
    ca = await createTestCa({ now: clock.now() });
    service.want({ mesh: 'default', name: 'newcomer' }, wanted());
    await clock.advance(1000);
    const isNew = (name: string) => service.state({ mesh: 'default', name }).leaf?.anchorPem === ca.pem;
    const renewed = () => names.filter(isNew).length;
    expect(isNew('newcomer')).toBe(true);
    expect(service.bundle('default')?.pem).toContain(old.trim());
    const steps: number[] = [];
    for (let second = 0; second < 21; second += 1) {
      await clock.advance(1000);
      steps.push(renewed());
    }
    expect(steps.at(-1)).toBe(20);
    expect(steps[0]).toBeLessThanOrEqual(4);
    expect(Math.max(...steps.map((count, index) => count - (steps[index - 1] ?? 0)))).toBeLessThanOrEqual(4);
    expect(signings.length).toBe(41);
    // Envoys take a moment to present the new ones.
    await clock.advance(61_000);
    expect(service.bundle('default')?.pem).toBe(ca.pem);
  });

  it('finishes the request of a former process with the key that was kept for it', async () => {
    await service.close();
    const keys = generateEcKey();
    const sealer = createSealer(sealingKey);
    const pem = toPkcs8Pem(keys.privateKey);
    const finish = async () => ({
      pem: (await createTestLeaf(ca, { now: clock.now(), uriSans: URI_SANS, to: HOUR, keys })).pem,
      anchorsPem: ca.pem,
    });
    service = createService([announcing({ sealedKey: sealer.sealKey(WEB, pem), finish })]);
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    expect([service.state(WEB).leaf?.keyPem, signings.length]).toEqual([pem, 0]);
  });

  it('asks anew when the key of the former process belongs to another proxy', async () => {
    await service.close();
    const finish = async (): Promise<Chain> => {
      throw new Error('must not be asked');
    };
    const sealedKey = createSealer(sealingKey).sealKey({ ...WEB, name: 'web-2' }, 'a key');
    service = createService([announcing({ sealedKey, finish })]);
    answer = announced;
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    expect([serialOf() !== undefined, signings.length]).toEqual([true, 1]);
  });
});

describe('a failing issuer', () => {
  const refuse = async (): Promise<Chain> => {
    throw new CaError('unavailable', 'connection refused');
  };

  it('never takes the good leaf away, says why, and backs off', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    const serial = serialOf();
    answer = refuse;
    await clock.advance(0.75 * HOUR);
    expect(serialOf()).toBe(serial);
    expect(service.state(WEB).failure).toMatchObject({
      attempts: 1,
      message: expect.stringContaining('connection refused'),
    });
    await clock.advance(HOUR);
    expect(serialOf()).toBe(serial);
    expect(signings.length).toBeLessThan(25);
    answer = good;
    await clock.advance(300_000);
    expect(serialOf()).not.toBe(serial);
    expect(service.state(WEB).failure).toBeUndefined();
  });

  it('is asked at most once per cooldown when it is dead, and one success heals all', async () => {
    service.setMesh('default', mtls('ca-1'));
    answer = refuse;
    for (let proxy = 0; proxy < 40; proxy += 1) service.want({ mesh: 'default', name: `p-${proxy}` }, wanted());
    await clock.advance(1000);
    const first = signings.length;
    expect(first).toBeLessThanOrEqual(40);
    await clock.advance(300_000);
    expect(signings.length - first).toBeLessThanOrEqual(12);
    answer = good;
    await clock.advance(62_000);
    expect(leafEvents().length).toBe(40);
  });

  it('is left alone over a restart as well, until one probe shows that it is back', async () => {
    service.setMesh('default', mtls('ca-1'));
    answer = refuse;
    const names = Array.from({ length: 40 }, (_, proxy) => `p-${proxy}`);
    for (const name of names) service.want({ mesh: 'default', name }, wanted());
    await clock.advance(120_000);
    await service.close();
    const before = signings.length;
    service = createService();
    await service.start();
    service.setMesh('default', mtls('ca-1'));
    for (const name of names) service.want({ mesh: 'default', name }, wanted());
    await clock.advance(120_000);
    expect(signings.length - before).toBeLessThanOrEqual(4);
    expect(service.state({ mesh: 'default', name: 'p-0' }).failure?.message).toContain('connection refused');
    expect(service.backends('default')[0]?.waiting).toBeGreaterThan(0);
    answer = good;
    await clock.advance(62_000);
    expect(names.filter((name) => serialOf(name) === undefined)).toEqual([]);
    // What it knew is no use for another CA.
    await clock.advance(2000);
    expect(remembered.size).toBe(0);
  });

  it('of one mesh costs the other one nothing: neither its leaves nor their time', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.setMesh('fine', mtls('ca-1'));
    answer = async (request) => (request.uriSans[0]!.startsWith('spiffe://default/') ? refuse() : good(request));
    for (let proxy = 0; proxy < 100; proxy += 1) service.want({ mesh: 'default', name: `p-${proxy}` }, wanted());
    const names = Array.from({ length: 20 }, (_, proxy) => `a-${proxy}`);
    const fine = wanted({ uriSans: ['spiffe://fine/a'], lifetimeMs: 60_000 });
    for (const name of names) service.want({ mesh: 'fine', name }, fine);
    await clock.advance(1000);
    expect(names.filter((name) => serialOf(name, 'fine') === undefined)).toEqual([]);
    const bundles = events.filter((event) => event.kind === 'bundle' && event.mesh === 'fine').length;
    await clock.advance(5 * 60_000);
    for (const name of names) {
      const { leaf, failure } = service.state({ mesh: 'fine', name });
      expect([failure, leaf!.notAfter > clock.now(), leaf!.generation]).toEqual([undefined, true, 7]);
    }
    expect(events.filter((event) => event.kind === 'bundle' && event.mesh === 'fine').length).toBe(bundles);
    expect([service.backends('default')[0]?.state, service.backends('fine')[0]?.state]).toEqual(['Failing', 'Ready']);
  });

  it('that says no is asked by one proxy for all, in growing pauses, and when that one gets its leaf all others go at once', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.setMesh('fine', mtls('ca-1'));
    const denyMesh = (code: 'denied' | 'invalid-request') => async (request: SigningRequest) => {
      if (request.uriSans[0]!.startsWith('spiffe://default/')) throw new CaError(code, 'not for you');
      return good(request);
    };
    const asked = () => signings.filter(({ uriSans }) => uriSans[0]!.startsWith('spiffe://default/')).length;
    const names = Array.from({ length: 40 }, (_, proxy) => `p-${proxy}`);
    answer = denyMesh('denied');
    for (const name of names) service.want({ mesh: 'default', name }, wanted());
    await clock.advance(1000);
    service.want({ mesh: 'fine', name: 'a' }, wanted({ uriSans: ['spiffe://fine/a'] }));
    await clock.advance(120_000);
    // Each of them is told once at the most, those after the tenth by and by.
    const first = asked();
    expect(first).toBeLessThanOrEqual(40 + 8);
    expect(service.backends('default')[0]).toMatchObject({ state: 'Failing', reason: 'Denied' });
    answer = denyMesh('invalid-request');
    await clock.advance(HOUR);
    expect(asked()).toBeLessThanOrEqual(40 + 8 + HOUR / (0.8 * 180_000) + 8);
    expect(asked() - first).toBeGreaterThan(HOUR / 200_000);
    expect(serialOf('a', 'fine')).toBeDefined();
    expect(service.backends('fine')[0]).toMatchObject({ state: 'Ready' });
    answer = good;
    const before = asked();
    await clock.advance(182_000);
    expect(names.filter((name) => serialOf(name) === undefined)).toEqual([]);
    expect(asked() - before).toBe(40);
    expect(service.backends('default')[0]).toMatchObject({ state: 'Ready' });
  });

  it('that says no to some proxies is asked for those now and then, while the others go on', async () => {
    service.setMesh('default', mtls('ca-1'));
    const isRefused = ({ uriSans }: SigningRequest) => uriSans[0]!.startsWith('spiffe://default/no-');
    answer = async (request) => {
      if (isRefused(request)) throw new CaError('denied', 'not for you');
      return good(request);
    };
    const want = (name: string) =>
      service.want({ mesh: 'default', name }, wanted({ lifetimeMs: 60_000, uriSans: [`spiffe://default/${name}`] }));
    for (let proxy = 0; proxy < 15; proxy += 1) want(`no-${proxy}`);
    for (let proxy = 0; proxy < 15; proxy += 1) want(`yes-${proxy}`);
    await clock.advance(10 * 60_000);
    expect(signings.filter(isRefused).length).toBeLessThanOrEqual(15 + 8);
    // Renewed in time, every time: a leaf of a minute for ten minutes.
    for (let proxy = 0; proxy < 15; proxy += 1) {
      expect(service.state({ mesh: 'default', name: `yes-${proxy}` }).leaf!.notAfter).toBeGreaterThan(clock.now());
    }
    // A change of the Mesh is another question.
    const before = signings.filter(isRefused).length;
    service.setMesh('default', { ...mtls('ca-1'), skipValidation: true });
    await clock.advance(1000);
    expect(signings.filter(isRefused).length - before).toBeGreaterThanOrEqual(10);
  });

  it('that does not even say what to trust is told to those who wait, and touches no other backend or mesh', async () => {
    service.setMesh('default', mtls('broken'));
    service.setMesh('fine', mtls('ca-1'));
    service.want(WEB, wanted({ backend: 'broken' }));
    service.want({ mesh: 'fine', name: 'a' }, wanted({ uriSans: ['spiffe://fine/a'] }));
    await clock.advance(10_000);
    expect(service.state(WEB)).toMatchObject({
      leaf: undefined,
      failure: { message: expect.stringContaining('connection refused') },
    });
    expect(serialOf('a', 'fine')).toBeDefined();
    service.setMesh('default', mtls('ca-1', 'broken'));
    service.want(WEB, wanted());
    await clock.advance(10_000);
    expect(serialOf()).toBeDefined();
    expect(service.bundle('default')?.backends).toEqual(['ca-1']);
  });

  it.each<[string, (request: SigningRequest) => Promise<string>]>([
    ['nothing', async () => ''],
    ['HTML', async () => '<html>200 OK</html>'],
    ['half a PEM', async (request) => (await signed(request)).pem.slice(0, 300)],
    ['fifty megabytes', async () => 'A'.repeat(50 * 1024 * 1024)],
    ['a certificate for another key', async (request) => (await signed(request, { keys: generateEcKey() })).pem],
    [
      'another SPIFFE ID',
      async (request) => (await signed(request, { uriSans: ['spiffe://default/admin', URI_SANS[1]!] })).pem,
    ],
    [
      'one SPIFFE ID too many',
      async (request) => (await signed(request, { uriSans: [...URI_SANS, 'spiffe://default/admin'] })).pem,
    ],
    ['a CA', async (request) => (await signed(request, { isCa: true })).pem],
    ['an expired one', async (request) => (await signed(request, { from: -2 * HOUR, to: -HOUR })).pem],
    ['one that is not yet valid', async (request) => (await signed(request, { from: HOUR, to: 2 * HOUR })).pem],
    ['no clientAuth', async (request) => (await signed(request, { extendedKeyUsage: [SERVER_AUTH] })).pem],
    [
      'no digitalSignature',
      async (request) =>
        (await signed(request, { keyUsage: KEY_USAGE.keyAgreement, extendedKeyUsage: [SERVER_AUTH, CLIENT_AUTH] })).pem,
    ],
    ["a stranger's CA", async (request) => (await signed(request, {}, await createTestCa({ now: clock.now() }))).pem],
    ['SHA-1', async (request) => (await signed(request, { hash: 'SHA-1' })).pem],
    ['the chain the wrong way round', async (request) => ca.pem + (await signed(request)).pem],
    ['the leaf twice', async (request) => (await signed(request)).pem.repeat(2)],
  ])('that answers with %s is refused, and the good leaf stays', async (_what, make) => {
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    const serial = serialOf();
    answer = async (request) => ({ pem: await make(request) });
    await clock.advance(0.76 * HOUR);
    expect(serialOf()).toBe(serial);
    expect(service.state(WEB).failure?.message).toContain("the CA's answer was refused");
    expect(leafEvents().length).toBe(1);
  });

  it('shows no key in a log line or a failure', async () => {
    service.setMesh('default', mtls('ca-1'));
    service.want(WEB, wanted());
    await clock.advance(1000);
    answer = async () => {
      throw new Error('the issuer said no');
    };
    await clock.advance(HOUR);
    const key = service.state(WEB).leaf!.keyPem.split('\n')[1]!;
    expect(logged.length).toBeGreaterThan(0);
    expect(logged.join('\n')).not.toContain(key);
    expect(JSON.stringify(service.state(WEB).failure)).not.toContain(key);
  });
});
