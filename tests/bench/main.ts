/**
 * Benchmarks of the control plane: `node tests/bench/main.ts`.
 *
 * | setting | meaning | default |
 * | --- | --- | --- |
 * | `BENCH` | which, by comma: P1 P3 P4 P5 P6 (with F11) P7 P8 P9; on a real API server K1 K3 K4 | all P but P6 and P8 |
 * | `N` | numbers of proxies, by comma | 100,1000 |
 * | `STORE` | `memory`, `sqlite` | both |
 * | `XDS` | `delta`, `sotw` | delta for us, sotw for the peer: what each uses by default |
 * | `PEER` | path of a kuma-cp, which gets the same load | none |
 * | `PEER_DP` | path of a kuma-dp for P9 | none |
 * | `ENVOY` | path of an Envoy for P9 | none: P9 measures the start only |
 * | `IDLE_S`, `CHURN_S` | seconds of the windows of P4, and of K1's idle one | 30, 10 |
 * | `REACH` | services that each Pod of K1 reaches, 0: all, as where nothing is said | 3 |
 *
 * Settings may be given as arguments too: `node tests/bench/main.ts N=1000 BENCH=P1`. Results go to `tests/bench/out/latest.json`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { basename } from 'node:path';
import { p1, p3, p4, p5, p7 } from './benches.ts';
import { type Program, type StoreKind, WEFT } from './control-plane.ts';
import { p9 } from './first-request.ts';
import type { Protocol } from './fleet/messages.ts';
import { k1, k3, k4 } from './kubernetes-benches.ts';
import { p6 } from './rotation-storm.ts';
import type { Row, Setup } from './session.ts';
import { formatTable, ratios, slope } from './table.ts';

const given = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=', 2) as [string, string]));
const setting = (name: string, otherwise: string): string => given[name] ?? process.env[name] ?? otherwise;
const list = (name: string, otherwise: string): string[] => setting(name, otherwise).split(',').filter(Boolean);

const benches = list('BENCH', 'P1,P3,P4,P5,P7,P9');
const sizes = list('N', '100,1000').map(Number);
const durations = { idleS: Number(setting('IDLE_S', '30')), churnS: Number(setting('CHURN_S', '10')) };
const peerPath = setting('PEER', '');
const programs: Program[] = [WEFT, ...(peerPath ? [{ name: basename(peerPath), peer: peerPath }] : [])];

const LADDER = [125, 250, 500, 1000, 2000];

function setupsOf(program: Program, bench: string): Setup[] {
  if (bench.startsWith('K')) return program.peer ? [] : [{ program, store: 'kubernetes', protocol: 'delta' }];
  const stores = program.peer ? ['memory'] : list('STORE', 'memory,sqlite');
  const protocols = list('XDS', program.peer ? 'sotw' : 'delta');
  return stores.flatMap((store) =>
    protocols.map((protocol) => ({ program, store: store as StoreKind, protocol: protocol as Protocol })),
  );
}

async function run(bench: string, setup: Setup): Promise<Row[]> {
  const each = async (of: (n: number) => Promise<Row[]>, over = sizes): Promise<Row[]> => {
    const rows: Row[] = [];
    for (const n of over) rows.push(...(await of(n)));
    return rows;
  };
  switch (bench) {
    case 'P1':
      return await each((n) => p1(setup, n));
    case 'P3':
      return await each((n) => p3(setup, n));
    case 'P4':
      return await each((n) => p4(setup, n, durations));
    case 'P5':
      return await each((services) => p5(setup, 10, services), [100, 1000]);
    case 'P6':
      // In one process and in driven time: no store, no proxies.
      return setup.store === 'memory' && !setup.program.peer ? await each((n) => p6(n)) : [];
    case 'P7':
      // Nothing is left of a memory store after kill -9; a peer without an embedded store gets its Mesh again.
      return setup.store === 'memory' && !setup.program.peer ? [] : await each((n) => p7(setup, n));
    case 'P8': {
      const rows = await each(
        async (n) => [...(await p1(setup, n)), ...(await p3(setup, n))],
        setup.program.peer ? LADDER.filter((n) => n <= 1000) : LADDER,
      );
      const named = (name: string) => rows.filter((row) => row.bench === name);
      return rows.map((row) => ({
        ...row,
        slope: Math.round((slope(named(row.bench)) ?? 0) * 100) / 100,
        bench: `P8 ${row.bench}`,
      }));
    }
    case 'P9':
      return await p9(setup, { envoy: setting('ENVOY', ''), peerDataplane: setting('PEER_DP', '') });
    case 'K1':
      return await each((n) => k1(setup, n, { idleS: durations.idleS, reach: Number(setting('REACH', '3')) }));
    case 'K3':
      return await k3(setup);
    case 'K4':
      return await k4(setup);
    default:
      throw new Error(`no benchmark is called ${bench}`);
  }
}

const load = loadavg()[0]!;
if (load > 0.5) console.error(`the machine is busy (load ${load.toFixed(1)}): trust CPU seconds more than wall time`);

const rows: Row[] = [];
for (const bench of benches) {
  for (const program of programs) {
    for (const setup of setupsOf(program, bench)) {
      try {
        const found = await run(bench, setup);
        rows.push(...found);
        if (found.length > 0) console.error(formatTable(found));
      } catch (error) {
        process.exitCode = 1;
        console.error(
          `${bench} ${setup.program.name} ${setup.store} ${setup.protocol}: ${error instanceof Error ? error.message : error}`,
        );
      }
    }
  }
}

const result = ratios(rows, WEFT.name);
const out = new URL('./out/', import.meta.url);
mkdirSync(out, { recursive: true });
const machine = { cpu: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version, load_at_start: load };
writeFileSync(
  new URL('latest.json', out),
  `${JSON.stringify(
    result.map((row) => ({ ...row, ...machine })),
    null,
    2,
  )}\n`,
);
console.log(formatTable(result));
