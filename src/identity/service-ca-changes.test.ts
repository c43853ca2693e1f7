import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CaBackendKind, Chain, SigningRequest } from '../ca/backend.ts';
import { createTestCa, createTestLeaf } from '../testing/certificates.ts';
import { HOUR, IdentityWorld, mtls, URI_SANS, WEB, wanted } from '../testing/identity-world.ts';
import { generateEcKey, toPkcs8Pem } from '../x509/key.ts';
import { createSealer } from './sealed.ts';

let world: IdentityWorld;
beforeEach(async () => {
  world = await IdentityWorld.open();
});
afterEach(() => world.service.close());

describe('a backend that issues from another of its CAs', () => {
  it('has the leaves of the former one replaced, although what is trusted stays the same', async () => {
    await world.service.close();
    const other = await createTestCa({ subject: 'CN=other', now: world.clock.now() });
    let issuing = world.ca;
    const renewing: CaBackendKind = {
      ...world.fakeKind,
      open: (config, deps) => ({
        ...world.fakeKind.open(config, deps),
        trustAnchors: () =>
          world.inRealTime(async () => ({
            pem: world.ca.pem + other.pem,
            issuingPem: issuing.pem,
            notAfter: world.clock.now() + 365 * 24 * HOUR,
          })),
      }),
    };
    world.service = world.createService([renewing]);
    world.answer = async (request) => ({ pem: (await world.signed(request, {}, issuing)).pem });
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    const before = world.service.state(WEB).leaf?.anchorPem;
    const bundle = world.service.bundle('default');
    issuing = other;
    world.service.secretChanged('default', 'the-secret');
    await world.clock.advance(2000);
    expect(world.service.bundle('default')).toBe(bundle);
    expect(world.service.state(WEB).leaf?.anchorPem).not.toBe(before);
    expect(world.service.backends('default')[0]?.roots.map(({ current }) => current)).toEqual([true, false]);
  });
});

describe('another backend that is enabled', () => {
  const enable = (backend: string) => ({ ...mtls('ca-1', 'ca-2'), enabledBackend: backend });

  it('replaces the leaves of the former one each at its turn, while both are trusted', async () => {
    await world.service.close();
    let drawn = 0;
    world.service = world.createService([world.fakeKind], () => (drawn = (drawn + 0.37) % 1));
    const names = Array.from({ length: 20 }, (_, proxy) => `p-${proxy}`);
    const all = (backend: string) => {
      world.service.setMesh('default', enable(backend));
      for (const name of names) world.service.want({ mesh: 'default', name }, { ...wanted(), backend });
    };
    const moved = (backend: string) =>
      names.filter((name) => world.service.state({ mesh: 'default', name }).leaf?.backend === backend).length;
    all('ca-1');
    await world.clock.advance(1000);
    expect(moved('ca-1')).toBe(20);
    all('ca-2');
    await world.clock.advance(2000);
    expect(moved('ca-2')).toBeGreaterThan(0);
    expect(moved('ca-2')).toBeLessThan(10);
    // Going back before its turn costs a proxy nothing.
    const before = world.signings.length;
    const left = moved('ca-1');
    all('ca-1');
    await world.clock.advance(21_000);
    expect(world.signings.length - before).toBe(20 - left);
    expect(moved('ca-1')).toBe(20);
  });

  it('replaces them at once when the former one is no part of the mesh any more', async () => {
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    world.service.setMesh('default', mtls('ca-2'));
    world.service.want(WEB, { ...wanted(), backend: 'ca-2' });
    await world.clock.advance(100);
    expect(world.service.state(WEB).leaf?.backend).toBe('ca-2');
  });
});

describe('a CA that says with its answers what to trust', () => {
  /** A backend like `certmanager` without `caCert`, with one request that a former process made. */
  const announcing = (pending?: { sealedKey: string; finish: () => Promise<Chain> }): CaBackendKind => ({
    ...world.fakeKind,
    open: (config, deps) => ({
      ...world.fakeKind.open(config, deps),
      announcesWithAnswers: true,
      resume: async (proxy) =>
        pending !== undefined && proxy === WEB.name
          ? { ...pending, finish: () => world.inRealTime(pending.finish) }
          : undefined,
    }),
  });
  const announced = async (request: SigningRequest): Promise<Chain> => ({
    pem: (await world.signed(request)).pem,
    anchorsPem: world.ca.pem,
  });

  it('and is replaced: its leaves are renewed spread over a second each, and the old CA goes with the last one', async () => {
    await world.service.close();
    let drawn = 0;
    world.service = world.createService([announcing()], () => (drawn = (drawn + 0.37) % 1));
    world.answer = announced;
    world.service.setMesh('default', mtls('ca-1'));
    const names = Array.from({ length: 20 }, (_, proxy) => `p-${proxy}`);
    for (const name of names) world.service.want({ mesh: 'default', name }, wanted());
    await world.clock.advance(1000);
    const old = world.ca.pem;
    world.ca = await createTestCa({ now: world.clock.now() });
    world.service.want({ mesh: 'default', name: 'newcomer' }, wanted());
    await world.clock.advance(1000);
    const isNew = (name: string) => world.service.state({ mesh: 'default', name }).leaf?.anchorPem === world.ca.pem;
    const renewed = () => names.filter(isNew).length;
    expect(isNew('newcomer')).toBe(true);
    expect(world.service.bundle('default')?.pem).toContain(old.trim());
    const steps: number[] = [];
    for (let second = 0; second < 21; second += 1) {
      await world.clock.advance(1000);
      steps.push(renewed());
    }
    expect(steps.at(-1)).toBe(20);
    expect(steps[0]).toBeLessThanOrEqual(4);
    expect(Math.max(...steps.map((count, index) => count - (steps[index - 1] ?? 0)))).toBeLessThanOrEqual(4);
    expect(world.signings.length).toBe(41);
    // Envoys take a moment to present the new ones.
    await world.clock.advance(61_000);
    expect(world.service.bundle('default')?.pem).toBe(world.ca.pem);
  });

  it('finishes the request of a former process with the key that was kept for it', async () => {
    await world.service.close();
    const keys = generateEcKey();
    const sealer = createSealer(world.sealingKey);
    const pem = toPkcs8Pem(keys.privateKey);
    const finish = async () => ({
      pem: (await createTestLeaf(world.ca, { now: world.clock.now(), uriSans: URI_SANS, to: HOUR, keys })).pem,
      anchorsPem: world.ca.pem,
    });
    world.service = world.createService([announcing({ sealedKey: sealer.sealKey(WEB, pem), finish })]);
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    expect([world.service.state(WEB).leaf?.keyPem, world.signings.length]).toEqual([pem, 0]);
  });

  it('asks anew when the key of the former process belongs to another proxy', async () => {
    await world.service.close();
    const finish = async (): Promise<Chain> => {
      throw new Error('must not be asked');
    };
    const sealedKey = createSealer(world.sealingKey).sealKey({ ...WEB, name: 'web-2' }, 'a key');
    world.service = world.createService([announcing({ sealedKey, finish })]);
    world.answer = announced;
    world.service.setMesh('default', mtls('ca-1'));
    world.service.want(WEB, wanted());
    await world.clock.advance(1000);
    expect([world.serialOf() !== undefined, world.signings.length]).toEqual([true, 1]);
  });
});
