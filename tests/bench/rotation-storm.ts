/**
 * P6 and F11, rotation storms: the issuance of the control plane with an issuer that takes so many requests a second, one that is dead for 60 % of a life, and
 * a control plane that is restarted. In driven time: 1000 proxies that all want their first leaf at the same moment, five or ten lives, in seconds. Keys,
 * signatures, checks and sealing are real; what is left out is network and store.
 */
import { randomBytes } from 'node:crypto';
import type { CaDependencies } from '../../src/ca/backend.ts';
import { createEgress } from '../../src/ca/egress.ts';
import type { BackendMemory } from '../../src/identity/coordinator-memory.ts';
import type { HeldLeaf, IdentityService, ProxyKey } from '../../src/identity/identity.ts';
import type { LeafRecord } from '../../src/identity/sealed.ts';
import { createIdentityService } from '../../src/identity/service.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createMetrics } from '../../src/lib/metrics.ts';
import { createDrivenClock } from '../../src/testing/fakes/driven-clock.ts';
import { createLimitedIssuer } from '../../src/testing/fakes/limited-issuer.ts';
import type { Row } from './session.ts';

const MESH = 'default';

interface Storm {
  readonly bench: string;
  readonly lifeMs: number;
  readonly lives: number;
  /** What the issuer takes a second. 25 is the quota of ACM Private CA. */
  readonly perSecond: number;
  /** When it is dead, in lives since the start. */
  readonly outage?: { readonly from: number; readonly until: number };
  /** When the control plane is restarted, in lives since the start; all proxies come back at once. */
  readonly restarts?: readonly number[];
}

const LATENCY_MS = 50;
const MINUTE = 60_000;
const CAPPED = { lifeMs: 10 * MINUTE, lives: 5, perSecond: 25 };

const F11: Storm = { bench: 'F11 restarts', lifeMs: MINUTE, lives: 10, perSecond: 100, restarts: [1.3, 4.8, 7.5] };
/** P6, dead after the start, when all leaves are young, and in the middle, when leaves of all ages are held; F11 of the reliability list. */
const STORMS: readonly Storm[] = [
  { bench: 'P6 capped', ...CAPPED },
  { bench: 'P6 dead from 0.1 life', ...CAPPED, outage: { from: 0.1, until: 0.7 } },
  { bench: 'P6 dead from 2.2 lives', ...CAPPED, outage: { from: 2.2, until: 2.8 } },
  F11,
];

export async function p6(n: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const one of STORMS) rows.push(await storm(one, n));
  return rows;
}

/** F11 alone. */
export function f11(n: number): Promise<Row> {
  return storm(F11, n);
}

async function storm({ bench, lifeMs, lives, perSecond, outage, restarts = [] }: Storm, n: number): Promise<Row> {
  const started = { at: performance.now(), cpu: process.cpuUsage() };
  let held = 0;
  let stopped = false;
  /** Time stands still while an answer's leaf is signed and checked. */
  const clock = createDrivenClock(Date.UTC(2026, 0, 1), () => !stopped && issuer.signed > held);
  const issuer = createLimitedIssuer({
    clock,
    perSecond,
    latencyMs: LATENCY_MS,
    known: { concurrency: 32, perSecond },
  });
  const deps = dependencies(clock.now);
  await issuer.kind.ensure?.({ mesh: MESH, name: 'ca', type: 'limited', conf: {} }, deps);
  const stored = createStored();
  /** All leaves of each proxy, oldest first. */
  const leaves = new Map<string, HeldLeaf[]>();

  async function startService(): Promise<IdentityService> {
    const service = createIdentityService({
      caKinds: [issuer.kind],
      caDependencies: deps,
      ...stored,
      clock,
      random: Math.random,
      log: silentLogger,
      metrics: createMetrics(),
    });
    await service.start();
    service.subscribe((event) => {
      if (event.kind !== 'leaf') return;
      held += 1;
      leaves.set(event.proxy.name, [...(leaves.get(event.proxy.name) ?? []), event.leaf]);
    });
    service.setMesh(MESH, { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'limited' }] });
    for (let proxy = 0; proxy < n; proxy += 1) {
      const uriSans = [`spiffe://${MESH}/p-${proxy}`];
      service.want(
        { mesh: MESH, name: `p-${proxy}` },
        { backend: 'ca', uriSans, lifetimeMs: lifeMs, keyType: 'ec-p256' },
      );
    }
    return service;
  }

  const start = clock.now();
  let service = await startService();
  let allHeldS = 0;
  const upTo = async (life: number) => {
    while (clock.now() - start < life * lifeMs) {
      await clock.advance(1000);
      if (allHeldS === 0 && leaves.size === n) allHeldS = (clock.now() - start) / 1000;
    }
  };
  if (outage !== undefined) {
    await upTo(outage.from);
    issuer.alive = false;
    await upTo(outage.until);
    issuer.alive = true;
  }
  for (const restart of restarts) {
    await upTo(restart);
    stopped = true;
    await service.close();
    // What was under way is signed for nobody.
    await clock.advance(2 * LATENCY_MS);
    held = issuer.signed;
    stopped = false;
    service = await startService();
  }
  await upTo(lives);
  const end = clock.now();
  await service.close();

  const issued = issuer.calls.filter(({ outcome }) => outcome === 'issued');
  // What was asked of a dead issuer is no call for a certificate: it is how one finds out.
  const reached = issuer.calls.filter(({ outcome }) => outcome !== 'failed');
  const settled = Math.max(1, outage === undefined ? 0 : outage.until + 1);
  const rate = rateOf(
    issued.map(({ at }) => at / lifeMs),
    settled,
    lives,
  );
  const expired = [...leaves.values()].map((of) => expiredMs(of, end));
  const cpu = process.cpuUsage(started.cpu);
  return {
    bench,
    program: 'weft',
    n,
    store: 'none',
    xds: 'none',
    wall_s: round((performance.now() - started.at) / 1000),
    cpu_s: round((cpu.user + cpu.system) / 1e6),
    rss_mb: Math.round(process.memoryUsage.rss() / 2 ** 20),
    all_held_s: allHeldS,
    peak_mean: round(rate.peakToMean),
    mean_per_s: round(rate.mean / (lifeMs / 1000)),
    certificates: issued.length,
    calls_per_certificate: round(reached.length / issued.length),
    probes: issuer.calls.length - reached.length,
    expired_s: round(sum(expired) / 1000),
    expired_proxies: expired.filter((ms) => ms > 0).length,
    ...(outage === undefined
      ? {}
      : {
          unavoidable_s: round(
            unavoidableMs(leaves, start + outage.from * lifeMs, start + outage.until * lifeMs) / 1000,
          ),
        }),
  };
}

/** What a control plane keeps in its store, in memory. */
function createStored() {
  const records = new Map<string, LeafRecord>();
  const memories = new Map<string, BackendMemory>();
  return {
    sealingKey: randomBytes(32),
    records: {
      load: async () => [...records.values()],
      async save(saved: readonly LeafRecord[]) {
        for (const record of saved) records.set(record.proxy.name, record);
      },
      async remove(proxies: readonly ProxyKey[]) {
        for (const { name } of proxies) records.delete(name);
      },
    },
    memories: {
      load: async () => [...memories.values()],
      async save(saved: readonly BackendMemory[]) {
        for (const memory of saved) memories.set(memory.backend, memory);
      },
      async remove(backends: readonly Pick<BackendMemory, 'backend'>[]) {
        for (const { backend } of backends) memories.delete(backend);
      },
    },
  };
}

function dependencies(now: () => number): CaDependencies {
  const secrets = new Map<string, Buffer>();
  return {
    secrets: {
      read: async (mesh, name) => secrets.get(`${mesh}/${name}`),
      async createTogether(mesh, values) {
        for (const [name, value] of values) secrets.set(`${mesh}/${name}`, value);
        return true;
      },
      async writeTogether(mesh, values) {
        for (const [name, value] of values) secrets.set(`${mesh}/${name}`, value);
      },
    },
    readFile: async () => Buffer.alloc(0),
    now,
    egress: createEgress({ allowedEndpoints: [] }),
  };
}

/** A window of a rate, in lives: at ten minutes it is ten seconds, in which an issuer that is asked evenly gets 22 requests of 1000 proxies. */
const WINDOWS_PER_LIFE = 60;

/** Mean per life of `times`, in lives since the start, from a time on; and how many times the mean there is in the busiest window. */
function rateOf(times: readonly number[], from: number, until: number): { peakToMean: number; mean: number } {
  const windows = new Map<number, number>();
  const counted = times.filter((at) => at >= from);
  for (const at of counted) {
    const window = Math.floor(at * WINDOWS_PER_LIFE);
    windows.set(window, (windows.get(window) ?? 0) + 1);
  }
  const mean = counted.length / (until - from);
  return { peakToMean: (Math.max(...windows.values()) * WINDOWS_PER_LIFE) / mean, mean };
}

/** How long a proxy that had a leaf had none that was good. */
function expiredMs(of: readonly HeldLeaf[], end: number): number {
  return sum(of.map(({ notAfter }, index) => Math.max(0, (of[index + 1]?.issuedAt ?? end) - notAfter)));
}

/** That time when nothing is renewed during an outage, whatever one does: of leaves that were too old when it began, until it ended. Epoch ms. */
function unavoidableMs(leaves: ReadonlyMap<string, readonly HeldLeaf[]>, from: number, until: number): number {
  return sum(
    [...leaves.values()].map((of) => {
      const held = of.findLast(({ issuedAt }) => issuedAt <= from);
      return held === undefined ? 0 : Math.max(0, until - held.notAfter);
    }),
  );
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
const round = (value: number) => Math.round(value * 100) / 100;
