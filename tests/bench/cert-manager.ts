/**
 * P2, certificates per second through a real cert-manager: `node tests/bench/cert-manager.ts`.
 *
 * | setting | meaning | default |
 * | --- | --- | --- |
 * | `QPS` | client limit of cert-manager's controllers, by comma | 20,1000 |
 * | `N` | certificates, one number for each QPS | 100,600 |
 * | `ROUNDS` | each program in turn, so often; the mean counts | 4 |
 *
 * `raw` is a client that makes the same key and CSR, creates the same CertificateRequest, waits for it on one shared watch and deletes it, 32 at a time, and checks nothing.
 * `weft` is the issuance of the control plane: queue, CA backend, checks of the answer, sealed record.
 */
import { randomBytes } from 'node:crypto';
import { CERTIFICATE_REQUEST, type CertificateRequest } from '../../src/ca/certmanager/objects.ts';
import { buildRequest, OWN_REQUESTS } from '../../src/ca/certmanager/request.ts';
import { verdictOf } from '../../src/ca/certmanager/verdict.ts';
import { connectKubernetes } from '../../src/k8s/api/connect.ts';
import { createListWatch } from '../../src/k8s/api/create-list-watch.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createCsr } from '../../src/x509/csr.ts';
import { generateEcKey } from '../../src/x509/key.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import {
  applyIssuer,
  applyRights,
  createWorld,
  mtlsOf,
  NAMESPACE,
} from '../integration/kubernetes/cert-manager-world.ts';

const given = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=', 2) as [string, string]));
const numbers = (name: string, otherwise: string): number[] =>
  (given[name] ?? process.env[name] ?? otherwise).split(',').map(Number);

const IN_FLIGHT = 32;
const issuerRef = { name: 'my-ca-issuer', kind: 'Issuer', group: 'cert-manager.io' };
const sansOf = (proxy: string) => [`spiffe://default/${proxy}`, `kuma://kuma.io/service/${proxy}`];

interface Measured {
  readonly perSecond: number;
  readonly cpuMs: number;
  readonly calls: number;
}

/** Certificates per second, CPU per certificate of this process, and calls to the API server per certificate. */
async function measure(n: number, calls: () => number, work: () => Promise<void>): Promise<Measured> {
  const before = { calls: calls(), cpu: process.cpuUsage(), at: performance.now() };
  await work();
  const seconds = (performance.now() - before.at) / 1000;
  const { user, system } = process.cpuUsage(before.cpu);
  return { perSecond: n / seconds, cpuMs: (user + system) / 1000 / n, calls: (calls() - before.calls) / n };
}

const sum = (calls: ReadonlyMap<string, number>) =>
  [...calls].reduce((all, [call, count]) => (call.endsWith(' certificaterequests') ? all + count : all), 0);

async function raw(kubeconfig: string, n: number): Promise<Measured> {
  const client = await connectKubernetes({ env: { KUBECONFIG: kubeconfig } });
  const waiting = new Map<string, () => void>();
  const watch = createListWatch<CertificateRequest>({
    client,
    type: CERTIFICATE_REQUEST,
    namespace: NAMESPACE,
    labelSelector: OWN_REQUESTS,
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
  });
  watch.subscribe(({ object }) => {
    if (verdictOf(object).kind === 'issued') waiting.get(object.metadata.name)?.();
  });
  await watch.synced;
  let next = 0;

  async function lane(): Promise<void> {
    while (next < n) {
      const proxy = `raw-${next++}`;
      const keys = generateEcKey();
      const uriSans = sansOf(proxy);
      const request = buildRequest({
        order: { mesh: 'default', backend: 'b', proxy, uriSans, commonName: undefined, dnsNames: [], issuerRef },
        csr: await createCsr(keys, uriSans),
        durationMs: 3_600_000,
        deadline: Date.now() + 60_000,
        sealedKey: undefined,
        namespace: NAMESPACE,
        zone: 'default',
        instanceId: 'raw',
        owner: undefined,
        random: randomBytes(8).toString('hex'),
      });
      const { name } = request.metadata;
      const issued = new Promise<void>((resolve) => waiting.set(name, resolve));
      await client.create(CERTIFICATE_REQUEST, request);
      await issued;
      waiting.delete(name);
      await client.delete(CERTIFICATE_REQUEST, { namespace: NAMESPACE, name });
    }
  }

  const measured = await measure(
    n,
    () => sum(client.calls),
    async () => void (await Promise.all(Array.from({ length: IN_FLIGHT }, lane))),
  );
  await watch.close();
  await client.close();
  return measured;
}

async function weft(kubeconfig: string, n: number): Promise<Measured> {
  const world = await createWorld({ kubeconfig });
  world.identity.setMesh('default', mtlsOf({ issuerRef }));
  while (world.identity.bundle('default') === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
  const all = Promise.withResolvers<void>();
  let issued = 0;
  world.identity.subscribe((event) => {
    if (event.kind === 'leaf' && ++issued === n) all.resolve();
    if (event.kind === 'failure') all.reject(new Error(event.failure.message));
  });
  const measured = await measure(
    n,
    () => sum(world.client.calls),
    async () => {
      for (let index = 0; index < n; index += 1) {
        world.want(`weft-${index}`, { uriSans: sansOf(`weft-${index}`) });
      }
      await all.promise;
    },
  );
  await world.close();
  return measured;
}

/** Of all rounds together. */
function mean(values: readonly Measured[]): Measured {
  const each = (of: (one: Measured) => number) => values.reduce((all, one) => all + of(one), 0) / values.length;
  return {
    perSecond: 1 / each(({ perSecond }) => 1 / perSecond),
    cpuMs: each(({ cpuMs }) => cpuMs),
    calls: each(({ calls }) => calls),
  };
}

async function compare(cluster: Cluster, qps: number, n: number, rounds: number): Promise<void> {
  await cluster.stopCertManager();
  await cluster.startCertManager({ qps, burst: qps === 20 ? 50 : qps, workers: qps === 20 ? 5 : 50 });
  const kubeconfig = await cluster.kubeconfigFor({ serviceAccount: 'weft-control-plane', namespace: NAMESPACE });
  const results = { raw: [] as Measured[], weft: [] as Measured[] };
  for (let round = 0; round < rounds; round += 1) {
    // Each goes first in turn: the limiters of cert-manager remember the one before.
    if (round % 2 === 0) results.raw.push(await raw(kubeconfig, n));
    results.weft.push(await weft(kubeconfig, n));
    if (round % 2 === 1) results.raw.push(await raw(kubeconfig, n));
  }
  const [one, two] = [mean(results.raw), mean(results.weft)];
  for (const [program, { perSecond, cpuMs, calls }] of [
    ['raw', one],
    ['weft', two],
  ] as const) {
    console.log(
      `P2 qps=${qps} n=${n} ${program.padEnd(4)} ${perSecond.toFixed(1)} certificates/s  ${cpuMs.toFixed(2)} ms CPU and ${calls.toFixed(2)} calls each`,
    );
  }
  console.log(`P2 qps=${qps} weft/raw ${((100 * two.perSecond) / one.perSecond).toFixed(0)} %`);
}

const cluster = await startCluster({ level: 'api', certManager: { qps: 20, burst: 50 } });
try {
  await applyRights(cluster);
  await applyIssuer(cluster);
  const sizes = numbers('N', '100,600');
  const [rounds = 4] = numbers('ROUNDS', '4');
  for (const [index, qps] of numbers('QPS', '20,1000').entries())
    await compare(cluster, qps, sizes[index] ?? 100, rounds);
} finally {
  await cluster.stop();
}
