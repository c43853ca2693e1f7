import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { vaultCa } from '../../../src/ca/vault/backend.ts';
import { badAnswers, createSignAnswer } from '../../../src/testing/bad-answers.ts';
import { createCaDependencies } from '../../../src/testing/ca-contract.ts';
import { createTestCa, type TestCertificate } from '../../../src/testing/certificates.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../../../src/testing/fault-proxy.ts';
import { createIssuanceWorld, type IssuanceWorld } from '../../../src/testing/issuance-world.ts';
import { outlivesFault, refusesAnswer, refusesToRead } from '../../../src/testing/issuer-faults.ts';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../../src/testing/openbao.ts';
import { createTestPki, type TestPki, testEgress } from '../../../src/testing/openbao-pki.ts';
import { inspectCsr } from '../../../src/x509/csr.ts';
import { parsePem } from '../../../src/x509/pem.ts';

const missing = missingOpenBao();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

// They wait, mostly.
vi.setConfig({ maxConcurrency: 12 });

describe.skipIf(missing !== undefined)(`vault${missing === undefined ? '' : ` (${missing})`}`, () => {
  let bao: OpenBao;
  let pki: TestPki;
  let ca: TestCertificate;
  beforeAll(async () => {
    bao = await startOpenBao();
    pki = await createTestPki(bao);
    ca = await createTestCa({ subject: 'CN=garbage' });
  });
  afterAll(() => bao?.close());

  async function open(): Promise<{ world: IssuanceWorld; proxy: FaultProxy } & AsyncDisposable> {
    const proxy = await startFaultProxy(bao.address, bao.caPem);
    const world = await createIssuanceWorld({
      kind: vaultCa,
      deps: createCaDependencies({ egress: testEgress() }),
    });
    world.use(pki.config({ address: proxy.address, tls: { caCert: { inlineString: proxy.caPem } } }).conf);
    return {
      world,
      proxy,
      async [Symbol.asyncDispose]() {
        await world.close();
        await proxy.close();
      },
    };
  }

  const errors = (text: string) => JSON.stringify({ errors: [text] });
  const PROXIES = Array.from({ length: 20 }, (_, index) => `web-${index}`);
  const F4: readonly [string, Fault, string][] = [
    ['refused connection', 'refused', 'ConnectionRefused'],
    ['hang', 'hang', 'Timeout'],
    ['403', { status: 403, body: errors('permission denied') }, 'PermissionDenied'],
    ['429', { status: 429, body: errors('request path "pki": rate limit quota exceeded') }, 'RateLimited'],
    ['500', { status: 500, body: '<html>broken</html>' }, 'VaultError'],
    ['slow 9 s', { slowMs: 9000 }, 'Timeout'],
    ['drops after accept', 'drop', 'ConnectionLost'],
    ['TLS expired', 'tls-expired', 'TlsExpired'],
  ];

  it.concurrent.each(F4)(
    'F4 vault: %s takes no leaf away, is asked little, is seen, and is over for all at once',
    async (_name, fault, reason) => {
      await using at = await open();
      const unchanged = () => at.world.identity.bundle('default')?.pem;
      await outlivesFault({ ...at, proxies: PROXIES, fault, reason, calls: 5 * PROXIES.length, unchanged });
    },
  );

  /** What was asked by the body of a call to `sign`. */
  async function answerOf(body: Buffer) {
    const asked = JSON.parse(String(body)) as { csr: string; ttl: string };
    const { uriSans, publicKey } = await inspectCsr(parsePem(asked.csr)[0]!.der);
    const sign = createSignAnswer(ca, { uriSans, publicKey, lifetimeMs: Number.parseInt(asked.ttl, 10) * 1000 });
    return { uriSans, sign, ca };
  }
  const data = (certificate: string) =>
    JSON.stringify({ data: { certificate, issuing_ca: ca.pem, ca_chain: [ca.pem] }, warnings: null });

  it.concurrent.each(badAnswers.map((bad) => ({ ...bad })))(
    'F5 vault: $name takes no good leaf away',
    async ({ certificate, usable }) => {
      await using at = await open();
      const { world, proxy } = at;
      await refusesAnswer(world, usable === true, () => {
        proxy.answer = async ({ path, body }) =>
          path.includes('/sign/') ? { status: 200, body: data(await certificate(await answerOf(body))) } : undefined;
      });
      if (!usable) expect(world.identity.bundle('default')?.pem).toBe(pki.rootPem);
    },
  );

  it('F5 vault: 50 MB are not read, and cost no memory', async () => {
    await using at = await open();
    await refusesToRead(at.world, at.proxy, ({ path }) => path.includes('/sign/'));
  });
});
