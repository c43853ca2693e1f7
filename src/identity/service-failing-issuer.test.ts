import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CaError, type Chain, type SigningRequest } from '../ca/backend.ts';
import { createTestCa } from '../testing/certificates.ts';
import { HOUR, IdentityWorld, mtls, URI_SANS, WEB, wanted } from '../testing/identity-world.ts';
import { CLIENT_AUTH, KEY_USAGE, SERVER_AUTH } from '../x509/certificate.ts';
import { generateEcKey } from '../x509/key.ts';

let world: IdentityWorld;
beforeEach(async () => {
  world = await IdentityWorld.open();
});
afterEach(() => world.service.close());

describe('a failing issuer', () => {
  const refuse = async (): Promise<Chain> => {
    throw new CaError('unavailable', 'connection refused');
  };

  it('never takes the good leaf away, says why, and backs off', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    const serial = world.serialOf();
    world.answer = refuse;
    await world.clock.advance(0.75 * HOUR);
    expect(world.serialOf()).toBe(serial);
    expect(world.service.state(WEB).failure).toMatchObject({
      attempts: 1,
      message: expect.stringContaining('connection refused'),
    });
    await world.clock.advance(HOUR);
    expect(world.serialOf()).toBe(serial);
    expect(world.signings.length).toBeLessThan(25);
    world.answer = world.good;
    await world.clock.advance(300_000);
    expect(world.serialOf()).not.toBe(serial);
    expect(world.service.state(WEB).failure).toBeUndefined();
  });

  it('is asked at most once per cooldown when it is dead, and one success heals all', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.answer = refuse;
    for (let proxy = 0; proxy < 40; proxy += 1) world.service.want({ mesh: 'default', name: `p-${proxy}` }, wanted());
    await world.clock.advance(1000);
    const first = world.signings.length;
    expect(first).toBeLessThanOrEqual(40);
    await world.clock.advance(300_000);
    expect(world.signings.length - first).toBeLessThanOrEqual(12);
    world.answer = world.good;
    await world.clock.advance(62_000);
    expect(world.leafEvents().length).toBe(40);
  });

  it('is left alone over a restart as well, until one probe shows that it is back', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.answer = refuse;
    const names = Array.from({ length: 40 }, (_, proxy) => `p-${proxy}`);
    for (const name of names) world.service.want({ mesh: 'default', name }, wanted());
    await world.clock.advance(120_000);
    await world.service.close();
    const before = world.signings.length;
    world.service = world.createService();
    await world.service.start();
    world.service.setMesh('default', mtls('ca-1'));
    for (const name of names) world.service.want({ mesh: 'default', name }, wanted());
    await world.clock.advance(120_000);
    expect(world.signings.length - before).toBeLessThanOrEqual(4);
    expect(world.service.state({ mesh: 'default', name: 'p-0' }).failure?.message).toContain('connection refused');
    expect(world.service.backends('default')[0]?.waiting).toBeGreaterThan(0);
    world.answer = world.good;
    await world.clock.advance(62_000);
    expect(names.filter((name) => world.serialOf(name) === undefined)).toEqual([]);
    // What it knew is no use for another CA.
    await world.clock.advance(2000);
    expect(world.remembered.size).toBe(0);
  });

  it('of one mesh costs the other one nothing: neither its leaves nor their time', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.setMesh('fine', mtls('ca-1'));
    world.answer = async (request) =>
      request.uriSans[0]!.startsWith('spiffe://default/') ? refuse() : world.good(request);
    for (let proxy = 0; proxy < 100; proxy += 1) world.service.want({ mesh: 'default', name: `p-${proxy}` }, wanted());
    const names = Array.from({ length: 20 }, (_, proxy) => `a-${proxy}`);
    const fine = wanted({ uriSans: ['spiffe://fine/a'], lifetimeMs: 60_000 });
    for (const name of names) world.service.want({ mesh: 'fine', name }, fine);
    await world.clock.advance(1000);
    expect(names.filter((name) => world.serialOf(name, 'fine') === undefined)).toEqual([]);
    const bundles = world.events.filter((event) => event.kind === 'bundle' && event.mesh === 'fine').length;
    await world.clock.advance(5 * 60_000);
    for (const name of names) {
      const { leaf, failure } = world.service.state({ mesh: 'fine', name });
      expect([failure, leaf!.notAfter > world.clock.now(), leaf!.generation]).toEqual([undefined, true, 7]);
    }
    expect(world.events.filter((event) => event.kind === 'bundle' && event.mesh === 'fine').length).toBe(bundles);
    expect([world.service.backends('default')[0]?.state, world.service.backends('fine')[0]?.state]).toEqual([
      'Failing',
      'Ready',
    ]);
  });

  it('that says no is asked by one proxy for all, in growing pauses, and when that one gets its leaf all others go at once', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.setMesh('fine', mtls('ca-1'));
    const denyMesh = (code: 'denied' | 'invalid-request') => async (request: SigningRequest) => {
      if (request.uriSans[0]!.startsWith('spiffe://default/')) throw new CaError(code, 'not for you');
      return world.good(request);
    };
    const asked = () => world.signings.filter(({ uriSans }) => uriSans[0]!.startsWith('spiffe://default/')).length;
    const names = Array.from({ length: 40 }, (_, proxy) => `p-${proxy}`);
    world.answer = denyMesh('denied');
    for (const name of names) world.service.want({ mesh: 'default', name }, wanted());
    await world.clock.advance(1000);
    world.service.want({ mesh: 'fine', name: 'a' }, wanted({ uriSans: ['spiffe://fine/a'] }));
    await world.clock.advance(120_000);
    // Each of them is told once at the most, those after the tenth by and by.
    const first = asked();
    expect(first).toBeLessThanOrEqual(40 + 8);
    expect(world.service.backends('default')[0]).toMatchObject({ state: 'Failing', reason: 'Denied' });
    world.answer = denyMesh('invalid-request');
    await world.clock.advance(HOUR);
    expect(asked()).toBeLessThanOrEqual(40 + 8 + HOUR / (0.8 * 180_000) + 8);
    expect(asked() - first).toBeGreaterThan(HOUR / 200_000);
    expect(world.serialOf('a', 'fine')).toBeDefined();
    expect(world.service.backends('fine')[0]).toMatchObject({ state: 'Ready' });
    world.answer = world.good;
    const before = asked();
    await world.clock.advance(182_000);
    expect(names.filter((name) => world.serialOf(name) === undefined)).toEqual([]);
    expect(asked() - before).toBe(40);
    expect(world.service.backends('default')[0]).toMatchObject({ state: 'Ready' });
  });

  it('that says no to some proxies is asked for those now and then, while the others go on', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    const isRefused = ({ uriSans }: SigningRequest) => uriSans[0]!.startsWith('spiffe://default/no-');
    world.answer = async (request) => {
      if (isRefused(request)) throw new CaError('denied', 'not for you');
      return world.good(request);
    };
    const want = (name: string) =>
      world.service.want(
        { mesh: 'default', name },
        wanted({ lifetimeMs: 60_000, uriSans: [`spiffe://default/${name}`] }),
      );
    for (let proxy = 0; proxy < 15; proxy += 1) want(`no-${proxy}`);
    for (let proxy = 0; proxy < 15; proxy += 1) want(`yes-${proxy}`);
    await world.clock.advance(10 * 60_000);
    expect(world.signings.filter(isRefused).length).toBeLessThanOrEqual(15 + 8);
    // Renewed in time, every time: a leaf of a minute for ten minutes.
    for (let proxy = 0; proxy < 15; proxy += 1) {
      expect(world.service.state({ mesh: 'default', name: `yes-${proxy}` }).leaf!.notAfter).toBeGreaterThan(
        world.clock.now(),
      );
    }
    // A change of the Mesh is another question.
    const before = world.signings.filter(isRefused).length;
    world.service.setMesh('default', { ...mtls('ca-1'), skipValidation: true });
    await world.clock.advance(1000);
    expect(world.signings.filter(isRefused).length - before).toBeGreaterThanOrEqual(10);
  });

  it('that does not even say what to trust is told to those who wait, and touches no other backend or mesh', async () => {
    world.service.setMesh('default', mtls('broken'));
    world.service.setMesh('fine', mtls('ca-1'));
    world.service.want(WEB, wanted({ backend: 'broken' }));
    world.service.want({ mesh: 'fine', name: 'a' }, wanted({ uriSans: ['spiffe://fine/a'] }));
    await world.clock.advance(10_000);
    expect(world.service.state(WEB)).toMatchObject({
      leaf: undefined,
      failure: { message: expect.stringContaining('connection refused') },
    });
    expect(world.serialOf('a', 'fine')).toBeDefined();
    world.service.setMesh('default', mtls('ca-1', 'broken'));
    world.service.want(WEB, wanted());
    await world.clock.advance(10_000);
    expect(world.serialOf()).toBeDefined();
    expect(world.service.bundle('default')?.backends).toEqual(['ca-1']);
  });

  it.each<[string, (request: SigningRequest) => Promise<string>]>([
    ['nothing', async () => ''],
    ['HTML', async () => '<html>200 OK</html>'],
    ['half a PEM', async (request) => (await world.signed(request)).pem.slice(0, 300)],
    ['fifty megabytes', async () => 'A'.repeat(50 * 1024 * 1024)],
    ['a certificate for another key', async (request) => (await world.signed(request, { keys: generateEcKey() })).pem],
    [
      'another SPIFFE ID',
      async (request) => (await world.signed(request, { uriSans: ['spiffe://default/admin', URI_SANS[1]!] })).pem,
    ],
    [
      'one SPIFFE ID too many',
      async (request) => (await world.signed(request, { uriSans: [...URI_SANS, 'spiffe://default/admin'] })).pem,
    ],
    ['a CA', async (request) => (await world.signed(request, { isCa: true })).pem],
    ['an expired one', async (request) => (await world.signed(request, { from: -2 * HOUR, to: -HOUR })).pem],
    ['one that is not yet valid', async (request) => (await world.signed(request, { from: HOUR, to: 2 * HOUR })).pem],
    ['no clientAuth', async (request) => (await world.signed(request, { extendedKeyUsage: [SERVER_AUTH] })).pem],
    [
      'no digitalSignature',
      async (request) =>
        (
          await world.signed(request, {
            keyUsage: KEY_USAGE.keyAgreement,
            extendedKeyUsage: [SERVER_AUTH, CLIENT_AUTH],
          })
        ).pem,
    ],
    [
      "a stranger's CA",
      async (request) => (await world.signed(request, {}, await createTestCa({ now: world.clock.now() }))).pem,
    ],
    ['SHA-1', async (request) => (await world.signed(request, { hash: 'SHA-1' })).pem],
    ['the chain the wrong way round', async (request) => world.ca.pem + (await world.signed(request)).pem],
    ['the leaf twice', async (request) => (await world.signed(request)).pem.repeat(2)],
  ])('that answers with %s is refused, and the good leaf stays', async (_what, make) => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    const serial = world.serialOf();
    world.answer = async (request) => ({ pem: await make(request) });
    await world.clock.advance(0.76 * HOUR);
    expect(world.serialOf()).toBe(serial);
    expect(world.service.state(WEB).failure?.message).toContain("the CA's answer was refused");
    expect(world.leafEvents().length).toBe(1);
  });

  it('shows no key in a log line or a failure', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    world.answer = async () => {
      throw new Error('the issuer said no');
    };
    await world.clock.advance(HOUR);
    const key = world.service.state(WEB).leaf!.keyPem!.split('\n')[1]!;
    expect(world.logged.length).toBeGreaterThan(0);
    expect(world.logged.join('\n')).not.toContain(key);
    expect(JSON.stringify(world.service.state(WEB).failure)).not.toContain(key);
  });
});
