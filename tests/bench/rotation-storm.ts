/**
 * P6, rotation storm: the issuance of the control plane, with an issuer that takes 25 requests a second, and one that is dead for 60 % of a life. In driven
 * time: 1000 proxies that all want their first leaf at the same moment, leaves of ten minutes, five lives, in well under a minute. Keys, signatures and checks
 * are real; what is left out is the network.
 */
import { randomBytes } from 'node:crypto';
import type { CaDependencies } from '../../src/ca/backend.ts';
import { createEgress } from '../../src/ca/egress.ts';
import type { DesiredIdentity, HeldLeaf } from '../../src/identity/identity.ts';
import { createIdentityService } from '../../src/identity/service.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createMetrics } from '../../src/lib/metrics.ts';
import { createDrivenClock } from '../../src/testing/fakes/driven-clock.ts';
import { createLimitedIssuer } from '../../src/testing/fakes/limited-issuer.ts';
import type { Row } from './session.ts';

const LIFE_MS = 600_000;
const LIVES = 5;
/** Of ACM Private CA. */
const ISSUER_PER_SECOND = 25;
/** Windows over which a rate is looked at: an issuer that is asked evenly gets about 22 requests in one. */
const WINDOW_MS = 10_000;
const MESH = 'default';

/** When the issuer is dead, in lives since the start. */
interface Outage {
  readonly from: number;
  readonly until: number;
}

/** After the start, when all leaves are young; and in the middle, when leaves of all ages are held. */
const OUTAGES: readonly (readonly [string, Outage | undefined])[] = [
  ['P6 capped', undefined],
  ['P6 dead from 0.1 life', { from: 0.1, until: 0.7 }],
  ['P6 dead from 2.2 lives', { from: 2.2, until: 2.8 }],
];

export async function p6(n: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [bench, outage] of OUTAGES) rows.push(await storm(bench, n, outage));
  return rows;
}

async function storm(bench: string, n: number, outage: Outage | undefined): Promise<Row> {
  const started = { at: performance.now(), cpu: process.cpuUsage() };
  let held = 0;
  const clock = createDrivenClock(Date.UTC(2026, 0, 1), () => issuing() > 0);
  const issuer = createLimitedIssuer({
    clock,
    perSecond: ISSUER_PER_SECOND,
    latencyMs: 50,
    known: { concurrency: 32, perSecond: ISSUER_PER_SECOND },
  });
  /** Answers whose leaf is not there yet: being signed, or being checked. */
  const issuing = () => issuer.signed - held;
  const deps = dependencies(clock.now);
  const config = { mesh: MESH, name: 'ca', type: 'limited', conf: {} };
  await issuer.kind.ensure?.(config, deps);
  const service = createIdentityService({
    caKinds: [issuer.kind],
    caDependencies: deps,
    records: { load: async () => [], save: async () => undefined, remove: async () => undefined },
    memories: { load: async () => [], save: async () => undefined, remove: async () => undefined },
    sealingKey: randomBytes(32),
    clock,
    random: Math.random,
    log: silentLogger,
    metrics: createMetrics(),
  });
  /** All leaves of each proxy, oldest first. */
  const leaves = new Map<string, HeldLeaf[]>();
  service.subscribe((event) => {
    if (event.kind !== 'leaf') return;
    held += 1;
    leaves.set(event.proxy.name, [...(leaves.get(event.proxy.name) ?? []), event.leaf]);
  });
  service.setMesh(MESH, { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'limited' }] });
  const start = clock.monotonic();
  for (let proxy = 0; proxy < n; proxy += 1) service.want({ mesh: MESH, name: `p-${proxy}` }, desired(`p-${proxy}`));

  let allHeldS = 0;
  const upTo = async (lives: number) => {
    while (clock.monotonic() - start < lives * LIFE_MS) {
      await clock.advance(1000);
      if (allHeldS === 0 && leaves.size === n) allHeldS = (clock.monotonic() - start) / 1000;
    }
  };
  if (outage !== undefined) {
    await upTo(outage.from);
    issuer.alive = false;
    await upTo(outage.until);
    issuer.alive = true;
  }
  await upTo(LIVES);
  const end = clock.now();
  await service.close();

  const issued = issuer.calls.filter(({ outcome }) => outcome === 'issued');
  // What was asked of a dead issuer is no call for a certificate: it is how one finds out.
  const reached = issuer.calls.filter(({ outcome }) => outcome !== 'failed');
  const later = ratios(
    issued.map(({ at }) => at - start),
    Math.max(1, outage === undefined ? 0 : outage.until + 1),
  );
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
    peak_mean: later.peakToMean,
    mean_per_s: later.mean,
    certificates: issued.length,
    calls_per_certificate: round(reached.length / issued.length),
    probes: issuer.calls.length - reached.length,
    expired_s: round(sum([...leaves.values()].map((of) => expiredMs(of, end))) / 1000),
    expired_proxies: [...leaves.values()].filter((of) => expiredMs(of, end) > 0).length,
    ...(outage === undefined ? {} : { unavoidable_s: round(unavoidableMs(leaves, outage, end) / 1000) }),
  };
}

const desired = (name: string): DesiredIdentity => ({
  backend: 'ca',
  uriSans: [`spiffe://${MESH}/${name}`],
  lifetimeMs: LIFE_MS,
  keyType: 'ec-p256',
});

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

/** The busiest window, and the mean of all, from so many lives on. */
function ratios(times: readonly number[], fromLife: number): { peakToMean: number; mean: number } {
  const windows = new Map<number, number>();
  const from = fromLife * LIFE_MS;
  const counted = times.filter((at) => at >= from);
  for (const at of counted) {
    const window = Math.floor(at / WINDOW_MS);
    windows.set(window, (windows.get(window) ?? 0) + 1);
  }
  const mean = counted.length / ((LIVES * LIFE_MS - from) / 1000);
  return { peakToMean: round(Math.max(...windows.values()) / (WINDOW_MS / 1000) / mean), mean: round(mean) };
}

/** How long a proxy that had a leaf had none that was good. */
function expiredMs(of: readonly HeldLeaf[], end: number): number {
  return sum(of.map(({ notAfter }, index) => Math.max(0, (of[index + 1]?.issuedAt ?? end) - notAfter)));
}

/** That time when nothing is renewed during the outage, whatever one does: of leaves that were too old when it began, until it ended. */
function unavoidableMs(leaves: ReadonlyMap<string, readonly HeldLeaf[]>, outage: Outage, end: number): number {
  const start = end - LIVES * LIFE_MS;
  const [from, until] = [start + outage.from * LIFE_MS, start + outage.until * LIFE_MS];
  return sum(
    [...leaves.values()].map((of) => {
      const at = of.findLast(({ issuedAt }) => issuedAt <= from);
      return at === undefined ? 0 : Math.max(0, until - at.notAfter);
    }),
  );
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
const round = (value: number) => Math.round(value * 100) / 100;
