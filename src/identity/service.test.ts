import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CaError } from '../ca/backend.ts';
import { builtinCa } from '../ca/builtin.ts';
import { silentLogger } from '../lib/log.ts';
import { createMetrics } from '../lib/metrics.ts';
import { createCaDependencies } from '../testing/ca-contract.ts';
import { createTestCa } from '../testing/certificates.ts';
import { HOUR, IdentityWorld, mtls, WEB, wanted } from '../testing/identity-world.ts';
import { createIdentityService } from './service.ts';

let world: IdentityWorld;
beforeEach(async () => {
  world = await IdentityWorld.open();
});
afterEach(() => world.service.close());

describe('issuing', () => {
  it('issues once, and nothing more while nothing that concerns the leaf changes', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    const serial = world.serialOf();
    expect(serial).toMatch(/^[0-9a-f]+$/);
    world.service.want(WEB, wanted({ requestTimeoutMs: 5000 }));
    world.service.setMesh('default', { ...mtls('ca-1'), skipValidation: true });
    world.service.setMesh('default', mtls('ca-1', 'ca-2'));
    await world.clock.advance(60_000);
    expect([world.serialOf(), world.signings.length]).toEqual([serial, 1]);
    expect(world.leafEvents()).toMatchObject([
      { proxy: WEB, reason: 'none-held', leaf: { generation: 1, backend: 'ca-1' } },
    ]);
    expect(world.service.bundle('default')).toMatchObject({ backends: ['ca-1', 'ca-2'], pem: world.ca.pem });
  });

  it('renews between 70 and 80 % of the life, ten times, without a storm', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    for (let proxy = 0; proxy < 5; proxy += 1)
      world.service.want({ mesh: 'default', name: `p-${proxy}` }, wanted({ lifetimeMs: 60_000 }));
    await world.clock.advance(1000);
    expect(world.signings.length).toBe(5);
    await world.clock.advance(10 * 45_000 + 5000);
    // Leaves that were issued together are renewed apart, so some are a little ahead.
    expect(world.signings.length).toBeGreaterThanOrEqual(5 * 10);
    expect(world.signings.length).toBeLessThanOrEqual(5 * 12);
    expect(world.serialOf('p-0')).toBeDefined();
  });

  it('renews in the time that was asked for, and no more often, where an issuer gives more', async () => {
    world.answer = async (request) => ({ pem: (await world.signed({ ...request, lifetimeMs: 300 * HOUR })).pem });
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(0.69 * HOUR);
    expect(world.signings.length).toBe(1);
    await world.clock.advance(0.12 * HOUR);
    expect(world.signings.length).toBe(2);
  });

  it('renews before the end of a CA that ends before the life asked for', async () => {
    const end = world.clock.now() + HOUR;
    world.ca = await createTestCa({ now: world.clock.now(), to: HOUR });
    world.answer = async (request) => ({
      pem: (await world.signed({ ...request, lifetimeMs: end - world.clock.now() })).pem,
    });
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted({ lifetimeMs: 24 * HOUR }));
    await world.clock.advance(1000);
    const { leaf } = world.service.state(WEB);
    expect(leaf!.notAfter).toBeLessThanOrEqual(end);
    expect(end - leaf!.renewAt).toBeGreaterThanOrEqual(0.2 * HOUR - 1000);
  });

  it('shows in its metrics when leaves and CAs end, and who waits for a leaf', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    world.answer = async () => {
      throw new CaError('unavailable', 'connection refused');
    };
    world.service.want({ mesh: 'default', name: 'web-2' }, wanted());
    await world.clock.advance(1000);
    const text = await world.metrics.metrics();
    const read = (series: string) =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.split(' ')[1],
      );
    const { notAfter } = world.service.state(WEB).leaf!;
    const of = 'mesh="default",service="web",backend="ca-1"';
    expect(read(`weft_certificate_expiry_timestamp_seconds{${of}}`)).toBe(notAfter / 1000);
    expect(read(`weft_certificate_expiry_seconds_left{${of}}`)).toBe((notAfter - world.clock.now()) / 1000);
    expect(read(`weft_certificates{${of},state="valid"}`)).toBe(1);
    expect(read(`weft_certificates{${of},state="none"}`)).toBe(1);
    const [root] = world.service.backends('default')[0]!.roots;
    const ofCa = `mesh="default",backend="ca-1",fingerprint="${root!.fingerprint}",current="true"`;
    expect(read(`weft_ca_expiry_seconds_left{${ofCa}}`)).toBe((root!.notAfter - world.clock.now()) / 1000);
    const ofBackend = 'mesh="default",backend="ca-1"';
    expect(read(`weft_issuance_failing_proxies{${ofBackend}}`)).toBe(1);
    expect(read(`weft_issuance_oldest_failure_seconds{${ofBackend}}`)).toBeCloseTo(1, 1);
    expect(read(`weft_issuance_last_failure_timestamp_seconds{${ofBackend}}`)).toBeCloseTo(
      world.clock.now() / 1000 - 1,
      1,
    );
    expect(read('cert_generation_backoff')).toBe(1);
    expect(read('cert_generation_circuit_open')).toBe(0);
    expect(text).not.toContain('web-1');
  });

  it('issues what is wanted at the end, when that changes on the way', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.answer = async (request) => {
      // Between the question and the answer the Dataplane gets other tags.
      if (world.signings.length === 1)
        world.service.want(WEB, wanted({ uriSans: ['spiffe://default/other', 'kuma://kuma.io/service/other'] }));
      return world.good(request);
    };
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    expect(world.service.state(WEB).leaf?.uriSans).toEqual(['spiffe://default/other', 'kuma://kuma.io/service/other']);
  });

  it('restores what was sealed: a restart issues nothing', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    const serial = world.serialOf();
    await world.service.close();
    expect(JSON.stringify([...world.stored.values()])).not.toContain('PRIVATE KEY');
    world.service = world.createService();
    await world.service.start();
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    expect([world.serialOf(), world.signings.length]).toEqual([serial, 1]);
  });

  it('serves a thousand proxies at once from a builtin CA and keeps the event loop free', async () => {
    world.service = world.createService([builtinCa]);
    const config = { mesh: 'default', name: 'ca-1', type: 'builtin', conf: {} };
    const deps = createCaDependencies({ now: () => world.clock.now() });
    await builtinCa.ensure!(config, deps);
    const real = createIdentityService({
      caKinds: [builtinCa],
      caDependencies: deps,
      records: { load: async () => [], save: async () => undefined, remove: async () => undefined },
      memories: { load: async () => [], save: async () => undefined, remove: async () => undefined },
      sealingKey: world.sealingKey,
      clock: world.clock,
      random: Math.random,
      log: silentLogger,
      metrics: createMetrics(),
    });
    real.setMesh('default', { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] });
    let turns = 0;
    const counter = setInterval(() => {
      turns += 1;
    }, 1);
    for (let proxy = 0; proxy < 1000; proxy += 1) real.want({ mesh: 'default', name: `p-${proxy}` }, wanted());
    const missing = () =>
      Array.from({ length: 1000 }, (_, proxy) => real.state({ mesh: 'default', name: `p-${proxy}` }).leaf).filter(
        (leaf) => !leaf,
      ).length;
    while (missing() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    clearInterval(counter);
    expect(turns).toBeGreaterThan(10);
    await real.close();
  });
});
