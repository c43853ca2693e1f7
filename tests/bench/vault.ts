/**
 * Certificates per second through a real OpenBao: `node tests/bench/vault.ts`.
 *
 * | setting | meaning | default |
 * | --- | --- | --- |
 * | `N` | certificates, by comma | 1000,2000,4000 |
 * | `ROUNDS` | each program in turn, so often; the mean counts | 4 |
 *
 * `raw` is a client that makes the same key and CSR and posts it to `sign`, 32 at a time over kept connections, and checks nothing. `weft` is the issuance of
 * the control plane: coordinator, CA backend, checks of the answer, sealed record.
 */
import { Agent } from 'undici';
import { vaultCa } from '../../src/ca/vault/backend.ts';
import { createCaDependencies } from '../../src/testing/ca-contract.ts';
import { createIssuanceWorld } from '../../src/testing/issuance-world.ts';
import { type OpenBao, startOpenBao } from '../../src/testing/openbao.ts';
import { createTestPki, type TestPki, testEgress } from '../../src/testing/openbao-pki.ts';
import { createCsr } from '../../src/x509/csr.ts';
import { generateEcKey } from '../../src/x509/key.ts';
import { toPem } from '../../src/x509/pem.ts';
import { slope } from './table.ts';

const given = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=', 2) as [string, string]));
const numbers = (name: string, otherwise: string): number[] =>
  (given[name] ?? process.env[name] ?? otherwise).split(',').map(Number);

const IN_FLIGHT = 32;
/** Certificates before the clock runs: code is compiled, connections are open, the first steps after a start are over. */
const WARM_UP = 400;
const sansOf = (proxy: string) => [`spiffe://default/${proxy}`, `kuma://kuma.io/service/${proxy}`];

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Wall and CPU of this process. */
async function measure(work: () => Promise<void>): Promise<Measured> {
  const before = { cpu: process.cpuUsage(), at: performance.now() };
  await work();
  const { user, system } = process.cpuUsage(before.cpu);
  return { seconds: (performance.now() - before.at) / 1000, cpuSeconds: (user + system) / 1e6 };
}

async function raw(bao: OpenBao, pki: TestPki, token: string, n: number): Promise<Measured> {
  const agent = new Agent({ connections: IN_FLIGHT, connect: { ca: bao.caPem } });
  const sign = async (proxy: string) => {
    const keys = generateEcKey();
    const csr = toPem('CERTIFICATE REQUEST', await createCsr(keys, sansOf(proxy)));
    const { statusCode, body } = await agent.request({
      origin: bao.address,
      path: `/v1/${pki.mount}/sign/${pki.role}`,
      method: 'POST',
      headers: { 'x-vault-token': token, 'content-type': 'application/json' },
      body: JSON.stringify({ csr, ttl: '3600s', exclude_cn_from_sans: true }),
      signal: AbortSignal.timeout(60_000),
    });
    const answer = (await body.json()) as { data?: { certificate?: string } };
    if (statusCode !== 200 || !answer.data?.certificate) throw new Error(`sign: ${statusCode}`);
  };
  const all = async (name: string, count: number) => {
    let next = 0;
    const lane = async () => {
      while (next < count) await sign(`${name}-${next++}`);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  };
  await all('warm', WARM_UP);
  const measured = await measure(() => all('raw', n));
  await agent.close();
  return measured;
}

async function weft(pki: TestPki, token: string, n: number): Promise<Measured> {
  await using world = await createIssuanceWorld({
    kind: vaultCa,
    deps: createCaDependencies({ egress: testEgress() }),
  });
  let issued = 0;
  let target = { count: 0, reached: Promise.withResolvers<void>() };
  world.identity.subscribe((event) => {
    if (event.kind === 'leaf' && ++issued === target.count) target.reached.resolve();
    if (event.kind === 'failure') target.reached.reject(new Error(event.failure.message));
  });
  const all = async (name: string, count: number) => {
    target = { count: issued + count, reached: Promise.withResolvers<void>() };
    for (let index = 0; index < count; index += 1) {
      world.want(`${name}-${index}`, { uriSans: sansOf(`${name}-${index}`) });
    }
    await target.reached.promise;
  };
  world.use(pki.config({ auth: { token: { inlineString: token } } }).conf);
  await all('warm', WARM_UP);
  // Awaited here: the world is closed when this block ends.
  return await measure(() => all('weft', n));
}

/** Of all rounds together. */
function mean(values: readonly Measured[]): Measured {
  const each = (of: (one: Measured) => number) => values.reduce((all, one) => all + of(one), 0) / values.length;
  return { seconds: each(({ seconds }) => seconds), cpuSeconds: each(({ cpuSeconds }) => cpuSeconds) };
}

const bao = await startOpenBao();
try {
  // As the guide sets it up.
  const pki = await createTestPki(bao, { caKey: 'rsa', role: { no_store: true, key_type: 'ec' } });
  const token = await pki.token(['sign']);
  const [rounds = 4] = numbers('ROUNDS', '4');
  const growth: Record<'raw' | 'weft', { n: number; cpu_s: number }[]> = { raw: [], weft: [] };
  for (const n of numbers('N', '1000,2000,4000')) {
    const results = { raw: [] as Measured[], weft: [] as Measured[] };
    for (let round = 0; round < rounds; round += 1) {
      // Each goes first in turn.
      if (round % 2 === 0) results.raw.push(await raw(bao, pki, token, n));
      results.weft.push(await weft(pki, token, n));
      if (round % 2 === 1) results.raw.push(await raw(bao, pki, token, n));
    }
    const found = { raw: mean(results.raw), weft: mean(results.weft) };
    for (const program of ['raw', 'weft'] as const) {
      const { seconds, cpuSeconds } = found[program];
      growth[program].push({ n, cpu_s: cpuSeconds });
      console.log(
        `vault n=${n} ${program.padEnd(4)} ${(n / seconds).toFixed(0)} certificates/s  ${cpuSeconds.toFixed(2)} CPU-s  ${((1000 * cpuSeconds) / n).toFixed(2)} ms CPU each`,
      );
    }
    console.log(`vault n=${n} weft/raw ${((100 * found.raw.seconds) / found.weft.seconds).toFixed(0)} %`);
  }
  for (const program of ['raw', 'weft'] as const) {
    console.log(`vault ${program} CPU grows with exponent ${slope(growth[program])?.toFixed(2) ?? '-'}`);
  }
} finally {
  await bao.close();
}
