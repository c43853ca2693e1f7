/** The benchmarks P1, P3, P4, P5 and P7 (performance goals of the project), each from an empty control plane to its rows. */
import { setTimeout as sleep } from 'node:timers/promises';
import { put, putAll } from './api.ts';
import type { Totals } from './fleet/commands.ts';
import { monotonicMs } from './fleet/envoy.ts';
import { dataplane, mesh, PROBE, permission, type Scenario, scenarioOf } from './scenario.ts';
import {
  measure,
  newMarker,
  openSession,
  pushPolicy,
  type Row,
  round,
  rowOf,
  type Session,
  type Setup,
} from './session.ts';

/** Seconds of the idle window of P4. */
export interface Durations {
  readonly idleS: number;
  readonly churnS: number;
}

/** mTLS on: from the write of the Mesh to the last proxy that acknowledged a leaf that verifies. */
export async function p1(setup: Setup, n: number): Promise<Row[]> {
  const session = await openSession(setup, scenarioOf(n), { mtls: false });
  try {
    const measured = await measure(session.cp, session.fleet, async (since) => {
      await put(session.cp.api, mesh(session.scenario.mesh, true));
      return await session.fleet.reach({ kind: 'leaf', since });
    });
    return [
      {
        ...rowOf(session, 'P0 connect', session.connect),
        p50_s: round(session.connect.p50),
        p99_s: round(session.connect.p99),
        fleet_cpu_s: round(session.connect.fleetCpu),
      },
      {
        ...rowOf(session, 'P1 mtls on', measured),
        p50_s: round(measured.p50),
        p99_s: round(measured.p99),
        fleet_cpu_s: round(measured.fleetCpu),
      },
    ];
  } finally {
    await session.close();
  }
}

const P3_ROUNDS = 5;

/** One policy for the whole mesh and one for a single proxy: from the write to the last acknowledgement. Median of five. */
export async function p3(setup: Setup, n: number): Promise<Row[]> {
  const session = await openSession(setup, scenarioOf(n), { mtls: true });
  try {
    const rows: Row[] = [];
    for (const [bench, options] of [
      ['P3 policy, all', {}],
      ['P3 policy, one', { tags: PROBE, proxies: [0] }],
    ] as const) {
      const rounds = [];
      for (let count = 0; count < P3_ROUNDS; count++) {
        rounds.push(await pushPolicy(session, options));
        await sleep(500);
      }
      rounds.sort((a, b) => a.p99 - b.p99);
      const median = rounds[Math.floor(P3_ROUNDS / 2)]!;
      rows.push({
        ...rowOf(session, bench, median),
        p50_s: round(median.p50),
        p99_s: round(median.p99),
        worst_s: round(Math.max(...rounds.map((each) => each.last))),
        fleet_cpu_s: round(median.fleetCpu),
      });
    }
    return rows;
  } finally {
    await session.close();
  }
}

/** Memory and CPU of a mesh at rest, then with one endpoint change a second, then with ten writes a second that concern no proxy. */
export async function p4(setup: Setup, n: number, { idleS, churnS }: Durations): Promise<Row[]> {
  const session = await openSession(setup, scenarioOf(n), { mtls: true });
  const { cp, fleet, scenario, baseMb } = session;
  const extra = (address: string, labels?: Record<string, string>) =>
    dataplane(scenario, 0, { name: 'bench-extra', service: 1, address, ...(labels ? { labels } : {}) });
  const lastAddress = '10.200.0.9';
  try {
    await put(cp.api, extra('10.200.0.1'));
    // Insights and caches of the connect settle first.
    await sleep(Math.min(15, idleS) * 1000);
    const window = async (
      bench: string,
      seconds: number,
      perSecond: number,
      write: (round: number) => Promise<void>,
    ): Promise<Row> => {
      await fleet.reset();
      const cpu = cp.cpuSeconds();
      const start = monotonicMs();
      for (let count = 0; count < seconds * perSecond; count++) {
        await write(count);
        await sleep(Math.max(0, start + ((count + 1) * 1000) / perSecond - monotonicMs()));
      }
      const wall = (monotonicMs() - start) / 1000;
      const used = cp.cpuSeconds() - cpu;
      await sleep(1500);
      const totals = await fleet.totals();
      return {
        ...rowOf(session, bench, { last: wall, cpu: used }),
        cores: round(used / wall),
        cores_per_1000: round((used / wall / n) * 1000),
        mb_per_proxy: round((cp.memoryMb().rss - baseMb) / n),
        pushes: sum(totals.responses),
      };
    };
    return [
      await window('P4 idle', idleS, 1, async () => undefined),
      await window('P4 endpoint/s', churnS, 1, (count) =>
        put(cp.api, extra(count === churnS - 1 ? lastAddress : `10.200.1.${1 + (count % 200)}`)),
      ),
      await window('P4 status 10/s', churnS, 10, (count) =>
        put(cp.api, extra(lastAddress, { 'bench/round': String(count) })),
      ),
    ];
  } finally {
    await session.close();
  }
}

/** Bytes, requests and responses per proxy when one endpoint is added, with proxies that reach every service. */
export async function p5(setup: Setup, proxies: number, services: number): Promise<Row[]> {
  const scenario: Scenario = { mesh: 'bench', proxies, services, outbounds: services };
  const session = await openSession(setup, scenario, { mtls: false });
  const { cp, fleet } = session;
  try {
    await putAll(
      cp.api,
      Array.from({ length: services }, (_, service) =>
        dataplane({ ...scenario, outbounds: 0 }, service, {
          name: `server-${service}`,
          service,
          address: `10.${100 + (service >> 8)}.${service & 255}.7`,
        }),
      ),
    );
    await quiet(session);
    await fleet.reset();
    const cpu = cp.cpuSeconds();
    const start = monotonicMs();
    await put(
      cp.api,
      dataplane({ ...scenario, outbounds: 0 }, 1, {
        name: 'server-added',
        service: services - 1,
        address: '10.250.0.1',
      }),
    );
    const last = await quiet(session);
    const totals = await fleet.totals();
    return [
      {
        ...rowOf(session, `P5 bytes, ${services} services`, {
          last: Math.max(0, last - start) / 1000,
          cpu: cp.cpuSeconds() - cpu,
        }),
        bytes_per_proxy: round(totals.bytes / proxies),
        responses_per_proxy: round(sum(totals.responses) / proxies),
        resources_per_proxy: round(sum(totals.resources) / proxies),
        requests_per_proxy: round(totals.requests / proxies),
      },
    ];
  } finally {
    await session.close();
  }
}

/** `kill -9` with everyone connected, restart, and all come back at once: until each has acknowledged a policy written after the restart. */
export async function p7(setup: Setup, n: number): Promise<Row[]> {
  const session = await openSession(setup, scenarioOf(n), { mtls: true });
  const { cp, fleet, scenario } = session;
  try {
    await pushPolicy(session);
    // Time for what was issued to be on disk, as it would be in a mesh that has run for a while.
    await sleep(3000);
    const before = await fleet.serials();
    const killed = monotonicMs();
    await cp.killAndRestart();
    if (setup.store === 'memory') await put(cp.api, mesh(scenario.mesh, true));
    const marker = newMarker();
    await put(cp.api, permission(scenario, 'bench-all', marker));
    const times = await fleet.reach({ kind: 'marker', marker, since: killed });
    const last = (times.at(-1)! - cp.spawnedAt) / 1000;
    const cpu = cp.cpuSeconds();
    await sleep(3000);
    const after = await fleet.serials();
    return [
      {
        ...rowOf(session, 'P7 kill -9', { last, cpu }),
        api_s: round((cp.readyAt - cp.spawnedAt) / 1000),
        p50_s: round((times[Math.floor(times.length / 2)]! - cp.spawnedAt) / 1000),
        reissued: after.filter((serial, index) => serial !== before[index]).length,
        peak_mb: Math.round(cp.memoryMb().peak),
      },
    ];
  } finally {
    await session.close();
  }
}

/** Waits until nothing was received for two seconds; gives the monotonic ms of the last time that something was. */
async function quiet(session: Session): Promise<number> {
  let last = monotonicMs();
  let seen = -1;
  while (monotonicMs() - last < 2000) {
    const bytes = (await session.fleet.totals()).bytes;
    if (bytes !== seen) last = monotonicMs();
    seen = bytes;
    await sleep(20);
  }
  return last;
}

function sum(counts: Totals['responses']): number {
  return Object.values(counts).reduce((total, each) => total + each, 0);
}
