import { describe, expect, it } from 'vitest';
import { type CaBackendKind, CaError, type Chain, type SigningRequest } from '../ca/backend.ts';
import { builtinCa } from '../ca/builtin.ts';
import { systemClock } from '../lib/clock.ts';
import { createCaDependencies } from '../testing/ca-contract.ts';
import { createTestCa, createTestLeaf } from '../testing/certificates.ts';
import { generateEcKey } from '../x509/key.ts';
import { probeHandshake } from './probe-handshake.ts';
import { rehearse } from './rehearsal.ts';

const ca = await createTestCa();
const deps = createCaDependencies();
const config = { mesh: 'default', name: 'ca-1', type: 'fake', conf: {} };
const path = 'mtls.backends[0].conf';

/** A backend that signs with `ca`, but for what the test wants to be different. */
function fake(
  change: Partial<CaBackendKind> & { sign?: (request: SigningRequest, signal: AbortSignal) => Promise<Chain> } = {},
): CaBackendKind {
  const { sign = async (request) => ({ pem: (await leafFor(request)).pem }), ...rest } = change;
  return {
    type: 'fake',
    validate: async () => [],
    usedSecrets: () => [],
    open: () => ({ trustAnchors: async () => ({ pem: ca.pem, notAfter: Date.now() + 3_600_000 }), sign }),
    ...rest,
  };
}

const leafFor = (request: SigningRequest, issuer = ca, uriSans = request.uriSans) =>
  createTestLeaf(issuer, {
    uriSans,
    to: request.lifetimeMs,
    keys: { ...generateEcKey(), publicKey: Buffer.from(request.publicKey) },
  });

const run = (kind: CaBackendKind, timeoutMs = 60_000) =>
  rehearse({ kind, config: { ...config, type: kind.type }, path, deps, clock: systemClock, timeoutMs });

const outcome = ({ steps }: Awaited<ReturnType<typeof run>>) =>
  steps.map(({ name, ok }) => `${name} ${ok ? 'ok' : 'bad'}`);

describe('a rehearsal', () => {
  it('goes from trust to handshake with a CA of our own', async () => {
    await builtinCa.ensure!({ ...config, type: 'builtin' }, deps);
    const rehearsal = await run(builtinCa);
    expect(rehearsal).toMatchObject({ ok: true, findings: [] });
    expect(outcome(rehearsal)).toEqual(['trust ok', 'issue ok', 'check ok', 'handshake ok']);
    expect(rehearsal.steps.at(-1)!.message).toBe('TLSv1.3, both sides verified');
  });

  it('takes the trust from the answer where the backend says it there', async () => {
    const other = await createTestCa({ subject: 'CN=from the answer' });
    const kind = fake({
      open: () => ({
        announcesWithAnswers: true,
        trustAnchors: () => Promise.reject(new Error('must not be asked')),
        sign: async (request) => ({ pem: (await leafFor(request, other)).pem, anchorsPem: other.pem }),
      }),
    });
    expect(outcome(await run(kind))).toEqual(['issue ok', 'check ok', 'handshake ok']);
  });

  it('asks with the names and the life that a leaf has', async () => {
    let asked: SigningRequest | undefined;
    const kind = fake({
      sign: async (request) => {
        asked = request;
        return { pem: (await leafFor(request)).pem };
      },
    });
    await run(kind);
    expect(asked).toMatchObject({
      uriSans: ['spiffe://default/weft-probe', 'kuma://kuma.io/service/weft-probe'],
      lifetimeMs: 3_600_000,
    });
  });

  it.each<[string, CaBackendKind, string[], RegExp]>([
    [
      'the issuer cannot be reached',
      fake({
        open: () => ({
          trustAnchors: () => Promise.reject(new CaError('unavailable', 'connection refused')),
          sign: () => Promise.reject(new Error()),
        }),
      }),
      ['trust bad'],
      /ask what to trust: connection refused/,
    ],
    [
      'it may not sign',
      fake({
        sign: () => Promise.reject(new CaError('denied', 'permission denied', { fix: 'vault policy write ...' })),
      }),
      ['trust ok', 'issue bad'],
      /issue a probe certificate: permission denied/,
    ],
    [
      'the names are others',
      fake({ sign: async (request) => ({ pem: (await leafFor(request, ca, ['spiffe://default/weft-probe'])).pem }) }),
      ['trust ok', 'issue ok', 'check bad'],
      /check the probe certificate: it is refused \(san-mismatch\)/,
    ],
    [
      'another CA signs',
      fake({ sign: async (request) => ({ pem: (await leafFor(request, await createTestCa())).pem }) }),
      ['trust ok', 'issue ok', 'check bad'],
      /it is refused \(untrusted\)/,
    ],
  ])('says where and why when %s', async (_what, kind, steps, reason) => {
    const rehearsal = await run(kind);
    expect(outcome(rehearsal)).toEqual(steps);
    expect(rehearsal.ok).toBe(false);
    expect(rehearsal.findings).toMatchObject([{ field: path, message: expect.stringMatching(reason) }]);
  });

  it('has what to paste', async () => {
    const kind = fake({ sign: () => Promise.reject(new CaError('denied', 'no', { fix: 'path "pki/sign/role" {}' })) });
    expect((await run(kind)).findings[0]!.fix).toBe('path "pki/sign/role" {}');
  });

  it('ends with what the kind itself finds, and asks for no probe then', async () => {
    const finding = { field: `${path}.role`, message: 'the role drops URI SANs', fix: 'vault write ...' };
    const rehearsal = await run(fake({ rehearse: async () => [finding] }));
    expect(outcome(rehearsal)).toEqual(['trust ok', 'rights ok']);
    expect(rehearsal).toMatchObject({ ok: false, findings: [finding] });
  });

  it('ends when its time is over, whatever the backend does', async () => {
    const silent = {
      announcesWithAnswers: true,
      trustAnchors: () => Promise.reject(new Error()),
      sign: () => new Promise<Chain>(() => undefined),
    };
    const rehearsal = await run(fake({ open: () => silent }), 200);
    expect(outcome(rehearsal)).toEqual(['issue bad']);
    expect(rehearsal.findings[0]!.message).toMatch(/no answer within/);
  });
});

describe('probeHandshake', () => {
  const uriSans = ['spiffe://default/weft-probe'];
  const spiffeId = uriSans[0]!;
  const signal = new AbortController().signal;

  it('accepts an intermediate as the anchor', async () => {
    const intermediate = await createTestCa({ issuer: ca, subject: 'CN=intermediate' });
    const leaf = await createTestLeaf(intermediate, { uriSans });
    const probe = { chainPem: leaf.pem, keyPem: leaf.keyPem, bundlePem: intermediate.pem, spiffeId };
    expect(await probeHandshake(probe, signal)).toBe('TLSv1.3');
  });

  it.each([
    ['another CA is trusted', async () => ({ bundlePem: (await createTestCa()).pem }), /it is not taken as a server: /],
    [
      'the identity is another one',
      async () => ({ spiffeId: 'spiffe://default/other' }),
      /as a server it is not spiffe:\/\/default\/other/,
    ],
  ])('refuses when %s', async (_what, change, reason) => {
    const leaf = await createTestLeaf(ca, { uriSans });
    const probe = { chainPem: leaf.pem, keyPem: leaf.keyPem, bundlePem: ca.pem, spiffeId, ...(await change()) };
    await expect(probeHandshake(probe, signal)).rejects.toThrow(reason);
  });
});
