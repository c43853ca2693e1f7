import { dataplaneToken, put } from './api.ts';
import { type ControlPlane, type Program, type StoreKind, startControlPlane } from './control-plane.ts';
import { monotonicMs } from './fleet/envoy.ts';
import { createFleet, type Fleet } from './fleet/handle.ts';
import type { Protocol } from './fleet/messages.ts';
import { mesh, node, permission, type Scenario } from './scenario.ts';

/** What is measured, and with what. */
export interface Setup {
  readonly program: Program;
  readonly store: StoreKind;
  readonly protocol: Protocol;
}

/** One line of the result. Further numbers are named with their unit. */
export interface Row {
  readonly bench: string;
  readonly program: string;
  readonly n: number;
  readonly store: string;
  readonly xds: string;
  readonly wall_s: number;
  readonly cpu_s: number;
  readonly rss_mb: number;
  readonly [extra: string]: string | number;
}

/** A control plane with a mesh and a connected fleet. */
export interface Session {
  readonly setup: Setup;
  readonly scenario: Scenario;
  readonly cp: ControlPlane;
  readonly fleet: Fleet;
  /** Before the first proxy connected. */
  readonly baseMb: number;
  /** From the first dial to the last proxy configured. */
  readonly connect: Measured;
  close(): Promise<void>;
}

/** What something took: times are seconds after it began, of the proxies that it reached. */
export interface Measured {
  readonly p50: number;
  readonly p99: number;
  readonly last: number;
  readonly cpu: number;
  readonly fleetCpu: number;
}

/** Opens a session with a fleet of `scenario.proxies`; mTLS is on from the start when asked, and then every proxy has its leaf. */
export async function openSession(setup: Setup, scenario: Scenario, options: { mtls: boolean }): Promise<Session> {
  const cp = await startControlPlane(setup.program, setup.store, setup.protocol);
  let fleet: Fleet | undefined;
  try {
    await put(cp.api, mesh(scenario.mesh, options.mtls));
    const authorization = await dataplaneToken(cp.api, scenario.mesh);
    const baseMb = cp.memoryMb().rss;
    const started = createFleet({
      proxy: (index) => ({ node: node(scenario, index), authorization }),
      url: cp.dataplaneUrl,
      protocol: setup.protocol,
      alwaysNode: setup.protocol === 'delta' && setup.program.peer !== undefined,
    });
    fleet = started;
    const connect = await measure(cp, started, async (since) => {
      await started.start(0, scenario.proxies);
      return await started.reach({ kind: options.mtls ? 'leaf' : 'configured', since });
    });
    return {
      setup,
      scenario,
      cp,
      fleet: started,
      baseMb,
      connect,
      async close() {
        await started.stop();
        await cp.stop();
      },
    };
  } catch (error) {
    await fleet?.stop();
    await cp.stop();
    throw error;
  }
}

/** Runs `work`, which gives the moments (monotonic ms) at which each proxy got there. CPU is the control plane's. */
export async function measure(
  cp: ControlPlane,
  fleet: Fleet,
  work: (since: number) => Promise<readonly number[]>,
): Promise<Measured> {
  const cpu = cp.cpuSeconds();
  const fleetCpu = fleet.cpuSeconds();
  const since = monotonicMs();
  const times = await work(since);
  const at = (share: number) =>
    ((times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? since) - since) / 1000;
  return {
    p50: at(0.5),
    p99: at(0.99),
    last: at(1),
    cpu: cp.cpuSeconds() - cpu,
    fleetCpu: fleet.cpuSeconds() - fleetCpu,
  };
}

/** The fixed part of a row. */
export function rowOf(
  session: Pick<Session, 'setup' | 'scenario' | 'cp'>,
  bench: string,
  measured: { last: number; cpu: number },
): Row {
  const { setup, scenario, cp } = session;
  return {
    bench,
    program: setup.program.name,
    n: scenario.proxies,
    store: setup.store,
    xds: setup.protocol,
    wall_s: round(measured.last),
    cpu_s: round(measured.cpu),
    rss_mb: Math.round(cp.memoryMb().rss),
  };
}

export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

let markers = 0;

/** A word that no policy had before. */
export function newMarker(): string {
  markers++;
  return `marker-${process.pid.toString(36)}x${markers}`;
}

/** Puts a permission with a new marker and waits until every proxy, or those given, acknowledged it. */
export async function pushPolicy(
  session: Session,
  options: { tags?: Readonly<Record<string, string>>; proxies?: readonly number[] } = {},
): Promise<Measured> {
  const { cp, fleet, scenario } = session;
  const marker = newMarker();
  return await measure(cp, fleet, async (since) => {
    await put(cp.api, permission(scenario, options.tags ? 'bench-one' : 'bench-all', marker, options.tags));
    return await fleet.reach({ kind: 'marker', marker, since }, options.proxies);
  });
}
