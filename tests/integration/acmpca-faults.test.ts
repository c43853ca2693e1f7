import { randomBytes } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { acmPcaCa } from '../../src/ca/acmpca/backend.ts';
import { createEgress } from '../../src/ca/egress.ts';
import type { LeafRecord } from '../../src/identity/sealed.ts';
import { badAnswers } from '../../src/testing/bad-answers.ts';
import { createCaDependencies, createMemoryPending } from '../../src/testing/ca-contract.ts';
import { awsFailure, FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { createIssuanceWorld, type IssuanceWorld } from '../../src/testing/issuance-world.ts';

/** The fault matrix (reliability F4, F5, F6) of a backend that is paid by the certificate, on a fake that counts what is paid. */

const eventually = <T>(check: () => T, timeout = 90_000) => vi.waitFor(check, { timeout, interval: 50 });
/** Other names: the leaf a proxy has is not the one it must have. */
const OTHER = { uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web', 'kuma://v/2'] };
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

async function openWorld(fake: FakeAcmPca, memory: Memory = createMemory()): Promise<IssuanceWorld> {
  const { accessKeyId, secretAccessKey } = FAKE_CREDENTIALS;
  const { pending, ...kept } = memory;
  const egress = createEgress({ allowedEndpoints: ['127.0.0.1'] });
  const world = await createIssuanceWorld({ kind: acmPcaCa, deps: createCaDependencies({ egress, pending }), ...kept });
  world.use({
    arn: fake.arn,
    endpoint: fake.endpoint,
    auth: {
      awsCredentials: { accessKey: { inlineString: accessKeyId }, accessKeySecret: { inlineString: secretAccessKey } },
    },
  });
  return world;
}

async function open(): Promise<{ fake: FakeAcmPca; world: IssuanceWorld } & AsyncDisposable> {
  const fake = await startFakeAcmPca();
  const world = await openWorld(fake);
  return {
    fake,
    world,
    async [Symbol.asyncDispose]() {
      await world.close();
      await fake.close();
    },
  };
}

const calls = (fake: FakeAcmPca) => [...fake.calls.values()].reduce((all, count) => all + count, 0);

describe.concurrent('acmpca', () => {
  const F4: readonly [string, (fake: FakeAcmPca) => Promise<void> | void, string][] = [
    ['refused connection', (fake) => fake.stop(), 'ConnectionRefused'],
    ['hang', (fake) => answerAll(fake, { status: 200, body: {}, delayMs: 3_600_000 }), 'Timeout'],
    ['403', (fake) => answerAll(fake, awsFailure('AccessDeniedException', 'not you', 403)), 'AccessDenied'],
    ['throttling', (fake) => answerAll(fake, awsFailure('ThrottlingException', 'Rate exceeded')), 'Throttled'],
    ['500', (fake) => answerAll(fake, { status: 500, body: '<html>broken</html>' }), 'ServerError'],
    ['slow 9 s', (fake) => answerAll(fake, { status: 200, body: {}, delayMs: 9000 }), 'Timeout'],
    ['drops after accept', (fake) => answerAll(fake, { status: 0 }), 'ConnectionLost'],
    ['expired credentials', (fake) => answerAll(fake, awsFailure('ExpiredTokenException')), 'CredentialsExpired'],
  ];
  function answerAll(fake: FakeAcmPca, answer: ReturnType<typeof awsFailure>): void {
    fake.intercept = () => answer;
  }

  it.each(F4)(
    'F4: %s takes no leaf away, is asked little, is seen, and is over for all at once',
    async (_name, fail, reason) => {
      await using at = await open();
      const { fake, world } = at;
      const proxies = proxiesOf(12);
      for (const one of proxies) world.want(one);
      await eventually(() => expect(without(world, proxies)).toEqual([]));
      const serials = proxies.map((one) => world.leaf(one)?.serial);
      const paid = fake.paid;
      await fail(fake);
      const [before, failedAt] = [calls(fake), Date.now()];
      for (const one of proxies) world.want(one, { ...OTHER, requestTimeoutMs: 2000 });
      await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason }));
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, failedAt + 4000 - Date.now())));
      expect(proxies.map((one) => world.leaf(one)?.serial)).toEqual(serials);
      // The first wave and a few probes, not each proxy again and again.
      expect(calls(fake) - before).toBeLessThan(3 * proxies.length);
      expect(fake.paid).toBe(paid);
      fake.intercept = () => undefined;
      await fake.start();
      await eventually(() =>
        expect(proxies.filter((one, index) => world.leaf(one)?.serial === serials[index])).toEqual([]),
      );
      await eventually(() => expect(world.backend()).toMatchObject({ state: 'Ready' }));
      expect(fake.paid - paid).toBe(proxies.length);
    },
  );

  it.each(badAnswers.map((bad) => ({ ...bad })))(
    'F5: $name takes no good leaf away',
    async ({ certificate, usable }) => {
      await using at = await open();
      const { fake, world } = at;
      world.want('web-1');
      await eventually(() => expect(world.leaf('web-1')).toBeDefined());
      const { serial } = world.leaf('web-1')!;
      const bundle = world.identity.bundle('default')?.pem;
      fake.issuance = async (parts, chain) => ({ Certificate: await certificate(parts), CertificateChain: chain });
      world.want('web-1', OTHER);
      if (usable) {
        await eventually(() => expect(world.leaf('web-1')?.serial).not.toBe(serial));
        return;
      }
      await eventually(() => expect(world.failure('web-1')).toMatchObject({ attempts: 1 }));
      expect(world.leaf('web-1')?.serial).toBe(serial);
      expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'InvalidAnswer' });
      expect(world.identity.bundle('default')?.pem).toBe(bundle);
    },
  );

  it('F5: 50 MB are not read', async () => {
    await using at = await open();
    const { fake, world } = at;
    world.want('web-1');
    await eventually(() => expect(world.leaf('web-1')).toBeDefined());
    const { serial } = world.leaf('web-1')!;
    fake.intercept = (action) => (action === 'GetCertificate' ? { status: 200, body: 'A'.repeat(50e6) } : undefined);
    world.want('web-1', OTHER);
    await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'AnswerTooLarge' }));
    expect(world.leaf('web-1')?.serial).toBe(serial);
  });

  it('F6: at the quota of AWS each certificate is paid once, and asked for hardly more often', async () => {
    await using at = await open();
    const { fake, world } = at;
    fake.quota = { issue: 25, fetch: 75 };
    const proxies = proxiesOf(100);
    for (const one of proxies) world.want(one);
    await eventually(() => expect(without(world, proxies)).toEqual([]));
    expect(fake.paid).toBe(100);
    expect(fake.calls.get('IssueCertificate')).toBeLessThanOrEqual(105);
    expect(world.events.filter(({ kind }) => kind === 'failure')).toEqual([]);
  });

  it('F6: in progress ten times, and nobody is asked for another', async () => {
    await using at = await open();
    const { fake, world } = at;
    fake.inProgress = 10;
    world.want('web-1', { requestTimeoutMs: 3000 });
    await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'IssuancePending' }));
    await eventually(() => expect(world.leaf('web-1')).toBeDefined());
    expect([fake.paid, fake.calls.get('IssueCertificate')]).toEqual([1, 1]);
  });

  it('F6: issued and not fetched, it is fetched later', async () => {
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

  it('F6: killed between the two calls, or before it heard the answer to the first, it pays nothing twice', async () => {
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
