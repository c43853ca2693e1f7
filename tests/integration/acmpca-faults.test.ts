import { randomBytes } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { acmPcaCa } from '../../src/ca/acmpca/backend.ts';
import { createEgress, type Egress } from '../../src/ca/egress.ts';
import type { WantedCsr } from '../../src/identity/proxy-key.ts';
import type { LeafRecord } from '../../src/identity/sealed.ts';
import { badAnswers } from '../../src/testing/bad-answers.ts';
import { createCaDependencies, createMemoryPending } from '../../src/testing/ca-contract.ts';
import { FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../../src/testing/fault-proxy.ts';
import { createIssuanceWorld, type IssuanceWorld } from '../../src/testing/issuance-world.ts';
import { outlivesFault, refusesAnswer, refusesToRead } from '../../src/testing/issuer-faults.ts';
import { signedRequest } from '../../src/testing/signed-request.ts';
import { generateEcKey } from '../../src/x509/key.ts';

/** The fault matrix (reliability F4, F5, F6) of a backend that is paid by the certificate, on a fake that counts what is paid. */

const eventually = <T>(check: () => T, timeout = 90_000) => vi.waitFor(check, { timeout, interval: 50 });
const proxiesOf = (count: number) => Array.from({ length: count }, (_, index) => `web-${index}`);
const without = (world: IssuanceWorld, proxies: readonly string[]) => proxies.filter((one) => !world.leaf(one));

interface Memory {
  readonly records: Map<string, LeafRecord>;
  readonly sealingKey: Buffer;
  readonly pending: ReturnType<typeof createMemoryPending>;
}
const createMemory = (): Memory => ({
  records: new Map(),
  sealingKey: randomBytes(32),
  pending: createMemoryPending(),
});

/** `proxy`: what stands before the fake, with TLS. */
async function openWorld(
  fake: FakeAcmPca,
  { pending, ...kept }: Memory = createMemory(),
  proxy?: FaultProxy,
): Promise<IssuanceWorld> {
  const { accessKeyId, secretAccessKey } = FAKE_CREDENTIALS;
  const plain = createEgress({ allowedEndpoints: ['127.0.0.1', 'localhost'] });
  // AWS is trusted by the system's CAs, the proxy by its own.
  const createClient: Egress['createClient'] = (options) =>
    plain.createClient({ ...options, tls: { ca: proxy!.caPem } });
  const egress = proxy === undefined ? plain : { ...plain, createClient };
  const world = await createIssuanceWorld({ kind: acmPcaCa, deps: createCaDependencies({ egress, pending }), ...kept });
  world.use({
    arn: fake.arn,
    endpoint: proxy?.address ?? fake.endpoint,
    auth: {
      awsCredentials: { accessKey: { inlineString: accessKeyId }, accessKeySecret: { inlineString: secretAccessKey } },
    },
  });
  return world;
}

interface Opened extends AsyncDisposable {
  readonly fake: FakeAcmPca;
  readonly proxy: FaultProxy;
  readonly world: IssuanceWorld;
}

async function open(): Promise<Opened> {
  const fake = await startFakeAcmPca();
  const proxy = await startFaultProxy(fake.endpoint, '');
  const world = await openWorld(fake, createMemory(), proxy);
  return {
    fake,
    proxy,
    world,
    async [Symbol.asyncDispose]() {
      await world.close();
      await proxy.close();
      await fake.close();
    },
  };
}

describe.concurrent('acmpca', () => {
  const refusal = (type: string, status = 400): Fault => ({ status, body: JSON.stringify({ __type: type }) });
  const F4: readonly [string, Fault, string][] = [
    ['refused connection', 'refused', 'ConnectionRefused'],
    ['hang', 'hang', 'Timeout'],
    ['403', refusal('AccessDeniedException', 403), 'AccessDenied'],
    ['throttling', refusal('ThrottlingException'), 'Throttled'],
    ['500', { status: 500, body: '<html>broken</html>' }, 'ServerError'],
    ['slow 9 s', { slowMs: 9000 }, 'Timeout'],
    ['drops after accept', 'drop', 'ConnectionLost'],
    ['TLS expired', 'tls-expired', 'TlsExpired'],
  ];

  it.each(F4)(
    'F4 acmpca: %s takes no leaf away, is asked little, is seen, and is over for all at once',
    async (_name, fault, reason) => {
      await using at = await open();
      const proxies = proxiesOf(12);
      const unchanged = () => at.fake.paid;
      const paid = await outlivesFault({ ...at, proxies, fault, reason, calls: 3 * proxies.length, unchanged });
      expect(at.fake.paid - paid).toBe(proxies.length);
    },
  );

  it.each(badAnswers.map((bad) => ({ ...bad })))(
    'F5 acmpca: $name takes no good leaf away',
    async ({ certificate, usable }) => {
      await using at = await open();
      const { fake, world } = at;
      await refusesAnswer(world, usable === true, () => {
        fake.issuance = async (parts, chain) => ({ Certificate: await certificate(parts), CertificateChain: chain });
      });
    },
  );

  it('F5 acmpca: 50 MB are not read', async () => {
    await using at = await open();
    await refusesToRead(at.world, at.proxy, ({ body }) => String(body).includes('"CertificateArn"'));
  });

  it('F6 acmpca: at the quota of AWS each certificate is paid once, and asked for hardly more often', async () => {
    await using at = await open();
    const { fake, world } = at;
    fake.quota = { issue: 25, fetch: 75 };
    const proxies = proxiesOf(200);
    for (const one of proxies) world.want(one);
    await eventually(() => expect(without(world, proxies)).toEqual([]));
    expect(fake.paid).toBe(200);
    expect(fake.calls.get('IssueCertificate')).toBeLessThanOrEqual(210);
    expect(world.events.filter(({ kind }) => kind === 'failure')).toEqual([]);
  });

  it('F6 acmpca: in progress ten times, and nobody is asked for another', async () => {
    await using at = await open();
    const { fake, world } = at;
    fake.inProgress = 10;
    world.want('web-1', { requestTimeoutMs: 3000 });
    await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'IssuancePending' }));
    await eventually(() => expect(world.leaf('web-1')).toBeDefined());
    expect([fake.paid, fake.calls.get('IssueCertificate')]).toEqual([1, 1]);
  });

  it('F6 acmpca: the same with a key that is beside the proxy, also when the control plane is another one by then', async () => {
    const fake = await startFakeAcmPca();
    const memory = createMemory();
    const keys = new Set<string>();
    let asked = 0;
    const launcher = {
      holds: (keyId: string) => keys.has(keyId),
      made: (keyId: string) => void keys.add(keyId),
      async request(wanted: WantedCsr) {
        asked += 1;
        return signedRequest(generateEcKey(), wanted);
      },
    };
    const begin = async () => {
      const world = await openWorld(fake, memory);
      world.want('web-1', { keys: 'proxy', requestTimeoutMs: 1000 });
      world.identity.setKeyHolder({ mesh: 'default', name: 'web-1' }, launcher);
      return world;
    };
    fake.inProgress = 1000;
    const first = await begin();
    await eventually(() => expect(first.backend()).toMatchObject({ reason: 'IssuancePending' }));
    await first.close();
    fake.inProgress = 0;
    const second = await begin();
    await eventually(() => expect(second.leaf('web-1')).toMatchObject({ keyId: [...keys][0] }));
    expect([fake.paid, fake.calls.get('IssueCertificate'), asked]).toEqual([1, 1, 1]);
    await second.close();
    await fake.close();
  });

  it('F6 acmpca: issued and not fetched, it is fetched later', async () => {
    await using at = await open();
    const { fake, world } = at;
    fake.intercept = (action) => (action === 'GetCertificate' ? { status: 503, body: 'busy' } : undefined);
    const proxies = proxiesOf(5);
    for (const one of proxies) world.want(one);
    await eventually(() => expect(proxies.filter((one) => !world.failure(one))).toEqual([]));
    fake.intercept = () => undefined;
    await eventually(() => expect(without(world, proxies)).toEqual([]));
    expect([fake.paid, fake.calls.get('IssueCertificate')]).toEqual([5, 5]);
  });

  it('F6 acmpca: killed between the two calls, or before it heard the answer to the first, it pays nothing twice', async () => {
    const fake = await startFakeAcmPca();
    const memory = createMemory();
    const proxies = proxiesOf(6);
    const killed = await openWorld(fake, memory);
    await eventually(() => expect(killed.backend()).toMatchObject({ state: 'Ready' }));
    let answers = 0;
    fake.intercept = (action) =>
      action === 'GetCertificate' ? { status: 200, body: {}, delayMs: 3_600_000 } : undefined;
    fake.loses = (action) => action === 'IssueCertificate' && ++answers > 3;
    for (const one of proxies) killed.want(one);
    await eventually(() => expect(fake.paid).toBe(6));
    await eventually(() => expect(memory.pending.values.size).toBe(6));
    // As kill -9: what it had in memory is gone, and what it does from here on reaches nobody.
    const left = { ...createMemory(), ...memory, pending: createMemoryPending(memory.pending.values) };
    await fake.stop();
    await killed.close();
    fake.intercept = () => undefined;
    fake.loses = () => false;
    await fake.start();
    const world = await openWorld(fake, left);
    for (const one of proxies) world.want(one);
    await eventually(() => expect(without(world, proxies)).toEqual([]));
    expect(fake.paid).toBe(6);
    await world.close();
    await fake.close();
  });
});
