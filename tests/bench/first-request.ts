/** P9: how long from a program's start to its use. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { dataplaneToken, put } from './api.ts';
import { type ControlPlane, freePort, startControlPlane, WEFT_COMMAND } from './control-plane.ts';
import { monotonicMs } from './fleet/envoy.ts';
import { cpuSeconds, memoryMb } from './process-use.ts';
import { type Document, mesh } from './scenario.ts';
import { type Row, round, type Setup } from './session.ts';

export interface FirstRequestOptions {
  /** Path of an Envoy; '' measures the control plane's start only. */
  readonly envoy: string;
  /** Path of the peer's launcher; '' leaves the peer's first request out. */
  readonly peerDataplane: string;
}

const REPEATS = 5;

/** Process start to `/ready` and an API that answers, and two fresh proxies to their first answer over mTLS; medians of five. */
export async function p9(setup: Setup, options: FirstRequestOptions): Promise<Row[]> {
  const starts: Sample[] = [];
  for (let count = 0; count < REPEATS; count++) {
    const cp = await startControlPlane(setup.program, setup.store, setup.protocol);
    starts.push({ wall: (cp.readyAt - cp.spawnedAt) / 1000, cpu: cp.cpuSeconds(), rss: cp.memoryMb().rss });
    await cp.stop();
  }
  const rows = [medianRow(setup, 'P9 ready', starts)];
  if (options.envoy === '' || (setup.program.peer !== undefined && options.peerDataplane === '')) return rows;
  const firsts: Sample[] = [];
  for (let count = 0; count < REPEATS; count++) firsts.push(await firstRequest(setup, options));
  return [...rows, medianRow(setup, 'P9 first mTLS 200', firsts)];
}

/** `cpu` and `rss` are of the program started: the control plane, or one launcher without its Envoy. */
interface Sample {
  readonly wall: number;
  readonly cpu: number;
  readonly rss: number;
}

function medianRow(setup: Setup, bench: string, samples: readonly Sample[]): Row {
  const sorted = [...samples].sort((a, b) => a.wall - b.wall);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  return {
    bench,
    program: setup.program.name,
    n: 0,
    store: setup.store,
    xds: setup.protocol,
    wall_s: round(median.wall),
    cpu_s: round(median.cpu),
    rss_mb: Math.round(median.rss),
    worst_s: round(sorted.at(-1)!.wall),
  };
}

const MESH = 'bench';

/** `web` calls `api`, both behind launchers that start now; until the first 200 that came through both Envoys. */
async function firstRequest(setup: Setup, options: FirstRequestOptions): Promise<Sample> {
  const cp = await startControlPlane(setup.program, setup.store, setup.protocol);
  const app = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(app, 'listening');
  const launchers: ChildProcess[] = [];
  try {
    await put(cp.api, mesh(MESH, true));
    await put(cp.api, {
      type: 'MeshTrafficPermission',
      mesh: MESH,
      name: 'all',
      spec: { targetRef: { kind: 'Mesh' }, from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] },
    });
    const token = join(cp.directory, 'token');
    writeFileSync(token, await dataplaneToken(cp.api, MESH));
    const ca = join(cp.directory, 'shown-ca.pem');
    writeFileSync(ca, await shownCa(cp.dataplaneUrl));
    const [inbound, outbound, idle, admin1, admin2, ready1, ready2] = await Promise.all(
      Array.from({ length: 7 }, freePort),
    );
    // An address that is listening already: it was made by the system, not a path.
    const { port } = app.address() as AddressInfo;
    const api = proxy('api', { admin: admin1!, inbound: { port: inbound!, servicePort: port }, outbound: undefined });
    const web = proxy('web', { admin: admin2!, inbound: { port: idle!, servicePort: port }, outbound: outbound! });
    const start = monotonicMs();
    launchers.push(
      launch(setup, options, cp, api, { token, ca }, ready1!),
      launch(setup, options, cp, web, { token, ca }, ready2!),
    );
    while (!(await isOk(`http://127.0.0.1:${outbound}/`))) {
      if (monotonicMs() - start > 60_000) throw new Error('first request: no answer after a minute');
      await sleep(5);
    }
    const wall = (monotonicMs() - start) / 1000;
    await sleep(1000);
    const [first] = launchers;
    return { wall, cpu: cpuSeconds(first!.pid!), rss: memoryMb(first!.pid!).rss };
  } finally {
    await Promise.all(launchers.map(end));
    app.close();
    app.closeAllConnections();
    await cp.stop();
  }
}

interface ProxyPorts {
  readonly admin: number;
  readonly inbound: { readonly port: number; readonly servicePort: number };
  /** Port on which `api` is reached. */
  readonly outbound: number | undefined;
}

function proxy(name: string, { admin, inbound, outbound }: ProxyPorts): Document & { readonly name: string } {
  return {
    type: 'Dataplane',
    mesh: MESH,
    name,
    networking: {
      address: '127.0.0.1',
      admin: { port: admin },
      inbound: [
        {
          ...inbound,
          serviceAddress: '127.0.0.1',
          address: '127.0.0.2',
          tags: { 'kuma.io/service': name, 'kuma.io/protocol': 'http' },
        },
      ],
      ...(outbound === undefined
        ? {}
        : { outbound: [{ address: '127.0.0.1', port: outbound, tags: { 'kuma.io/service': 'api' } }] }),
    },
  };
}

function launch(
  setup: Setup,
  options: FirstRequestOptions,
  cp: ControlPlane,
  document: Document & { readonly name: string },
  files: { readonly token: string; readonly ca: string },
  readinessPort: number,
): ChildProcess {
  const file = join(cp.directory, `${document.name}.json`);
  writeFileSync(file, JSON.stringify(document));
  const flags = [
    'run',
    `--cp-address=${cp.dataplaneUrl}`,
    `--dataplane-file=${file}`,
    `--dataplane-token-file=${files.token}`,
    `--ca-cert-file=${files.ca}`,
    `--binary-path=${options.envoy}`,
    '--drain-time=1s',
  ];
  const [command, ...args] = setup.program.peer
    ? [options.peerDataplane, ...flags, '--dns-enabled=false']
    : [...WEFT_COMMAND, 'dp', ...flags];
  return spawn(command!, args, {
    stdio: ['ignore', 'ignore', process.env['BENCH_DEBUG'] ? 'inherit' : 'ignore'],
    env: { ...process.env, KUMA_READINESS_PORT: String(readinessPort) },
  });
}

/** PEM of the last certificate that the server shows: its CA, or itself when it is self-signed. */
async function shownCa(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  let last = socket.getPeerX509Certificate()!;
  while (last.issuerCertificate) last = last.issuerCertificate;
  socket.destroy();
  return last.toString();
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await Promise.race([gone, sleep(8000)]);
  child.kill('SIGKILL');
}

function isOk(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
