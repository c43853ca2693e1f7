import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOUR, IdentityWorld, mtls, WEB, wanted } from '../testing/identity-world.ts';
import { signedRequest } from '../testing/signed-request.ts';
import { generateEcKey, toPkcs8Pem } from '../x509/key.ts';
import type { DesiredIdentity } from './identity.ts';
import { ProxyKeyError, type SignedRequest, type WantedCsr } from './proxy-key.ts';
import { createSealer } from './sealed.ts';

let world: IdentityWorld;
beforeEach(async () => {
  world = await IdentityWorld.open();
});
afterEach(() => world.service.close());

describe('a key beside the proxy', () => {
  const own = (change: Partial<DesiredIdentity> = {}) => wanted({ keys: 'proxy', ...change });
  /** A launcher with these keys that answers with `make`; `asked` counts. */
  function launcher(make: (wanted: WantedCsr) => SignedRequest, ...keys: string[]) {
    const known = new Set(keys);
    const holder = {
      asked: 0,
      holds: (keyId: string) => known.has(keyId),
      made: (keyId: string) => void known.add(keyId),
      request(csr: WantedCsr) {
        holder.asked += 1;
        return world.inRealTime(async () => make(csr));
      },
    };
    return holder;
  }
  const honest = (csr: WantedCsr) => signedRequest(generateEcKey(), csr);

  beforeEach(() => world.service.setMesh('default', mtls('ca-1')));

  it('gets a leaf when its launcher is there, which is held without the key', async () => {
    world.service.want(WEB, own());
    await world.clock.advance(10_000);
    expect(world.service.state(WEB).failure).toBeUndefined();
    await world.clock.advance(50_000);
    expect(world.signings.length).toBe(0);
    expect(world.events.filter(({ kind }) => kind === 'failure')).toHaveLength(1);
    expect(world.service.state(WEB).failure?.message).toContain('its launcher makes its key, and is not connected');
    world.service.setKeyHolder(WEB, launcher(honest));
    await world.clock.advance(1000);
    expect(world.service.state(WEB).failure).toBeUndefined();
    const leaf = world.service.state(WEB).leaf!;
    expect(leaf).not.toHaveProperty('keyPem');
    expect(leaf.keyId).toMatch(/^[0-9a-f]{64}$/);
    expect(world.signings[0]).toMatchObject({ keyIsElsewhere: true });
    expect(world.signings[0]).not.toHaveProperty('sealedKey');
    await world.service.close();
    expect(createSealer(world.sealingKey).open([...world.stored.values()][0]!)).not.toHaveProperty('keyPem');

    // After a restart of both it is the same leaf.
    world.service = world.createService();
    await world.service.start();
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, own());
    world.service.setKeyHolder(WEB, launcher(honest, leaf.keyId!));
    await world.clock.advance(1000);
    expect([world.serialOf(), world.signings.length]).toEqual([leaf.serial, 1]);
  });

  it('is a new one with each leaf', async () => {
    const holder = launcher(honest);
    world.service.want(WEB, own());
    world.service.setKeyHolder(WEB, holder);
    await world.clock.advance(1000);
    const { keyId } = world.service.state(WEB).leaf!;
    await world.clock.advance(0.81 * HOUR);
    expect(world.service.state(WEB).leaf).toMatchObject({ generation: 2, reason: 'due' });
    expect(world.service.state(WEB).leaf!.keyId).not.toBe(keyId);
    expect(holder.asked).toBe(2);
  });

  it('replaces one that was made here, and the other way round', async () => {
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    world.service.setKeyHolder(WEB, launcher(honest));
    world.service.want(WEB, own());
    await world.clock.advance(1000);
    expect(world.service.state(WEB).leaf).toMatchObject({ generation: 2, reason: 'key-moved' });
    world.service.setKeyHolder(WEB, undefined);
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    expect(world.service.state(WEB).leaf).toMatchObject({
      generation: 3,
      reason: 'key-moved',
      keyPem: expect.anything(),
    });
  });

  it('that is lost costs one leaf, and one that is lost each time costs fewer and fewer', async () => {
    world.service.want(WEB, own());
    for (let time = 0; time < 20; time += 1) {
      world.service.setKeyHolder(WEB, launcher(honest));
      await world.clock.advance(1000);
      world.service.setKeyHolder(WEB, undefined);
    }
    expect(world.signings.length).toBe(4);
    const { serial } = world.service.state(WEB).leaf!;
    world.service.setKeyHolder(WEB, launcher(honest));
    await world.clock.advance(60_000);
    expect(world.serialOf()).not.toBe(serial);
    expect(world.signings.length).toBe(5);
  });

  it('asks no issuer for what a hostile launcher sends, leaves it alone for longer and longer, and serves the others', async () => {
    const hostile = launcher(() => ({ publicKey: Buffer.from('garbage'), signature: Buffer.alloc(0) }));
    world.service.want(WEB, own());
    world.service.setKeyHolder(WEB, hostile);
    await world.clock.advance(120_000);
    expect(hostile.asked).toBeLessThan(10);
    expect(world.signings.length).toBe(0);
    expect(world.service.state(WEB).failure?.message).toContain('the certificate request of its launcher was refused');
    expect(world.service.backends('default')[0]).toMatchObject({ state: 'Ready' });
    const api = { mesh: 'default', name: 'api-1' };
    world.service.want(api, own());
    world.service.setKeyHolder(api, launcher(honest));
    await world.clock.advance(1000);
    expect(world.service.state(api).leaf).toBeDefined();
  });

  it('is refused when another proxy has it', async () => {
    const key = generateEcKey();
    const same = (csr: WantedCsr) => signedRequest(key, csr);
    const api = { mesh: 'default', name: 'api-1' };
    for (const proxy of [WEB, api]) {
      world.service.want(proxy, own());
      world.service.setKeyHolder(proxy, launcher(same));
      await world.clock.advance(1000);
    }
    expect(world.serialOf()).toBeDefined();
    expect(world.service.state(api)).toMatchObject({ leaf: undefined, failure: { message: /used before/ } });
  });

  it('waits for a launcher that left before it answered, as if it had not been there', async () => {
    const left = launcher(() => {
      throw new ProxyKeyError('away', 'it left');
    });
    world.service.want(WEB, own());
    world.service.setKeyHolder(WEB, left);
    world.service.setKeyHolder(WEB, undefined);
    await world.clock.advance(1000);
    world.service.setKeyHolder(WEB, launcher(honest));
    await world.clock.advance(1000);
    expect(world.serialOf()).toBeDefined();
    expect(world.leafEvents()).toHaveLength(1);
    expect(world.events.filter(({ kind }) => kind === 'failure')).toEqual([]);
  });

  it('is never another one that an issuer made', async () => {
    world.answer = async (request) => ({
      ...(await world.good(request)),
      privateKeyPem: toPkcs8Pem(generateEcKey().privateKey),
    });
    world.service.want(WEB, own());
    world.service.setKeyHolder(WEB, launcher(honest));
    await world.clock.advance(1000);
    expect(world.service.state(WEB)).toMatchObject({ leaf: undefined, failure: { message: /issuer made a key/ } });
  });
});
