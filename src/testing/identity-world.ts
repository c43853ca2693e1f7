import { randomBytes } from 'node:crypto';
import type { CaBackendKind, CaDependencies, Chain, SigningRequest } from '../ca/backend.ts';
import { CaError } from '../ca/backend.ts';
import type { BackendMemories, BackendMemory } from '../identity/coordinator-memory.ts';
import type { DesiredIdentity, IdentityEvent, IdentityService } from '../identity/identity.ts';
import type { LeafRecord, LeafRecords } from '../identity/sealed.ts';
import { createIdentityService } from '../identity/service.ts';
import { type Logger, silentLogger } from '../lib/log.ts';
import { createMetrics, type Metrics } from '../lib/metrics.ts';
import { generateEcKey } from '../x509/key.ts';
import { createCaDependencies } from './ca-contract.ts';
import { createTestCa, createTestLeaf, type TestCertificate } from './certificates.ts';
import { createDrivenClock, type DrivenClock } from './fakes/driven-clock.ts';

export const HOUR = 3_600_000;
export const URI_SANS = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
/** The proxy that {@link wanted} is for. */
export const WEB = { mesh: 'default', name: 'web-1' };

/** A leaf of an hour from `ca-1` for the service `web`, unless `change` says otherwise. */
export function wanted(change: Partial<DesiredIdentity> = {}): DesiredIdentity {
  return { backend: 'ca-1', uriSans: URI_SANS, lifetimeMs: HOUR, keyType: 'ec-p256', ...change };
}

/** `mtls` of a Mesh with these backends of the world's kind; the first one is enabled. */
export function mtls(...names: string[]) {
  return { enabledBackend: names[0]!, backends: names.map((name) => ({ name, type: 'fake', conf: { ca: name } })) };
}

/** An identity service on a driven clock, with an issuer whose answers the test decides. Made anew for each test, which closes `service` at its end. */
export class IdentityWorld {
  readonly clock: DrivenClock;
  readonly sealingKey = randomBytes(32);
  /** What the issuer signs with and says to trust; a test may replace it. */
  ca: TestCertificate;
  /** What the next service is given; a test may replace it. */
  deps: CaDependencies;
  /** What the issuer answers now; a test may replace it. */
  answer: (request: SigningRequest) => Promise<Chain>;
  /** A test that makes another one, as after a restart, closes the former one and puts the new one here. */
  service: IdentityService;
  /** Of the last service. */
  metrics: Metrics;
  /** Of all services, as are the next four. */
  readonly events: IdentityEvent[] = [];
  readonly signings: SigningRequest[] = [];
  readonly stored = new Map<string, LeafRecord>();
  readonly remembered = new Map<string, BackendMemory>();
  /** Lines of the log. */
  readonly logged: string[] = [];
  /** Answers that are being made. */
  #answering = 0;

  /** A CA backend that gives `answer`. Backends whose name starts with `broken` never say what to trust. */
  readonly fakeKind: CaBackendKind = {
    type: 'fake',
    validate: async () => [],
    usedSecrets: () => ['the-secret'],
    open: (config) => ({
      trustAnchors: () =>
        this.inRealTime(async () => {
          if (config.name.startsWith('broken')) throw new CaError('unavailable', 'connection refused');
          return { pem: this.ca.pem, notAfter: this.clock.now() + 365 * 24 * HOUR };
        }),
      sign: (request) => {
        this.signings.push(request);
        return this.inRealTime(() => this.answer(request));
      },
    }),
  };

  static async open(): Promise<IdentityWorld> {
    const now = Date.now();
    const ca = await createTestCa({ now });
    await createTestLeaf(ca);
    return new IdentityWorld(now, ca);
  }

  private constructor(now: number, ca: TestCertificate) {
    this.clock = createDrivenClock(now, () => this.#answering > 0);
    this.ca = ca;
    this.deps = createCaDependencies({ now: () => this.clock.now() });
    this.answer = this.good;
    this.metrics = createMetrics();
    this.service = this.createService();
  }

  /** A service on the records that are there. */
  createService(kinds: readonly CaBackendKind[] = [this.fakeKind], random = () => 0.5): IdentityService {
    this.metrics = createMetrics();
    const service = createIdentityService({
      caKinds: kinds,
      caDependencies: this.deps,
      records: recordsIn(this.stored),
      memories: memoriesIn(this.remembered),
      sealingKey: this.sealingKey,
      clock: this.clock,
      random,
      log: logInto(this.logged),
      metrics: this.metrics,
    });
    service.subscribe((event) => this.events.push(event));
    return service;
  }

  /** The answer of an issuer that works. */
  readonly good = async (request: SigningRequest): Promise<Chain> => ({ pem: (await this.signed(request)).pem });

  /** A good leaf for the request unless `change` says otherwise. */
  signed(
    request: SigningRequest,
    change: Parameters<typeof createTestLeaf>[1] = {},
    issuer = this.ca,
  ): Promise<TestCertificate> {
    return createTestLeaf(issuer, {
      now: this.clock.now(),
      uriSans: request.uriSans,
      to: request.lifetimeMs,
      keys: { ...generateEcKey(), publicKey: Buffer.from(request.publicKey) },
      ...change,
    });
  }

  /** Time stands still while `call` is answered. */
  inRealTime<T>(call: () => Promise<T>): Promise<T> {
    this.#answering += 1;
    return call().finally(() => (this.#answering -= 1));
  }

  leafEvents() {
    return this.events.filter((event) => event.kind === 'leaf');
  }

  /** Of the leaf that is held. */
  serialOf(name = WEB.name, mesh = WEB.mesh): string | undefined {
    return this.service.state({ mesh, name }).leaf?.serial;
  }
}

function recordsIn(stored: Map<string, LeafRecord>): LeafRecords {
  return {
    load: async () => [...stored.values()],
    async save(saved) {
      for (const record of saved) stored.set(`${record.proxy.mesh}/${record.proxy.name}`, record);
    },
    async remove(proxies) {
      for (const proxy of proxies) stored.delete(`${proxy.mesh}/${proxy.name}`);
    },
  };
}

function memoriesIn(remembered: Map<string, BackendMemory>): BackendMemories {
  return {
    load: async () => [...remembered.values()],
    async save(saved) {
      for (const one of saved) remembered.set(`${one.mesh}/${one.backend}`, one);
    },
    async remove(gone) {
      for (const { mesh, backend } of gone) remembered.delete(`${mesh}/${backend}`);
    },
  };
}

function logInto(lines: string[]): Logger {
  const log: Logger = { ...silentLogger, named: () => log };
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    log[level] = (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  }
  return log;
}
