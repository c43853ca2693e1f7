import { beforeEach, describe, expect, it } from 'vitest';
import {
  createCaDependencies,
  createMemorySecrets,
  createRequest,
  type MemorySecrets,
} from '../testing/ca-contract.ts';
import { fingerprintsOf } from '../x509/fingerprints.ts';
import { createTrustStore, verifyLeaf } from '../x509/verify.ts';
import type { BackendConfig, CaDependencies } from './backend.ts';
import { builtinCa } from './builtin.ts';
import { builtinSecretNames } from './builtin-secrets.ts';

const config: BackendConfig = { mesh: 'default', name: 'ca-1', type: 'builtin', conf: {} };
const names = builtinSecretNames('default', 'ca-1');
const signal = new AbortController().signal;
const renewal = builtinCa.renewal!;

let secrets: MemorySecrets;
let deps: CaDependencies;
let first: string;
beforeEach(async () => {
  secrets = createMemorySecrets();
  deps = createCaDependencies({ secrets });
  await builtinCa.ensure!(config, deps);
  first = (await renewal.state(config, deps)).signing;
});

const trusted = async () => fingerprintsOf((await builtinCa.open(config, deps).trustAnchors(signal)).pem);

/** Fingerprints of the CAs that CRLs are signed with. */
async function revokers(): Promise<readonly string[]> {
  const crls = await builtinCa.open(config, deps).crl!(
    { number: 1, revoked: [{ serial: '0a', at: Date.now() }] },
    signal,
  );
  expect(crls.every(({ pem }) => pem.startsWith('-----BEGIN X509 CRL-----'))).toBe(true);
  return crls.flatMap(({ issuerPem }) => fingerprintsOf(issuerPem));
}

/** Fingerprint of the CA that a new leaf chains to. */
async function signer(): Promise<string> {
  const backend = builtinCa.open(config, deps);
  const { pem, issuingPem = '' } = await backend.trustAnchors(signal);
  const request = createRequest('default');
  const verdict = await verifyLeaf((await backend.sign(request, signal)).pem, {
    keys: request.keys,
    uriSans: request.uriSans,
    trust: await createTrustStore(pem),
    now: Date.now(),
  });
  if (!verdict.ok) throw new Error(verdict.message);
  expect(fingerprintsOf(issuingPem)).toEqual(fingerprintsOf(verdict.leaf.anchorPem));
  return fingerprintsOf(verdict.leaf.anchorPem)[0]!;
}

describe('a builtin CA that is renewed', () => {
  it('trusts both from the first step to the last, and signs with the one whose turn it is', async () => {
    await renewal.prepare(config, deps);
    const { next } = await renewal.state(config, deps);
    expect(await trusted()).toEqual([first, next]);
    expect(await revokers()).toEqual([first, next]);
    expect(await signer()).toBe(first);

    await renewal.activate(config, deps);
    expect(await renewal.state(config, deps)).toEqual({ signing: next, next: undefined, former: first });
    expect(await trusted()).toEqual([next, first]);
    expect(await signer()).toBe(next);

    await renewal.retire(config, deps);
    expect(await trusted()).toEqual([next]);
    expect(await revokers()).toEqual([next]);
    expect(await signer()).toBe(next);
    // Kuma's Secrets hold the new CA, and nothing of the old one is left.
    const texts = [...secrets.values.values()].map(String).join('\n');
    expect(texts.match(/PRIVATE KEY-----\n/g)).toHaveLength(2);
    expect(fingerprintsOf(String(secrets.values.get(`default/${names.cert}`)))).toEqual([next]);
  });

  it('goes back to the one before', async () => {
    await renewal.prepare(config, deps);
    await renewal.activate(config, deps);
    const { signing: second } = await renewal.state(config, deps);
    await renewal.restore(config, deps);
    expect(await signer()).toBe(first);
    expect(await trusted()).toEqual([first, second]);
    await renewal.retire(config, deps);
    expect(await trusted()).toEqual([first]);
  });

  it('does each step once, however often it is told', async () => {
    await renewal.prepare(config, deps);
    const prepared = new Map(secrets.values);
    await renewal.prepare(config, deps);
    expect(secrets.values).toEqual(prepared);
    await renewal.activate(config, deps);
    const activated = new Map(secrets.values);
    await renewal.activate(config, deps);
    expect(secrets.values).toEqual(activated);
  });

  it('signs with a whole pair also between the writes of certificate and key', async () => {
    await renewal.prepare(config, deps);
    const oldKey = secrets.values.get(`default/${names.key}`)!;
    await renewal.activate(config, deps);
    const { signing: second } = await renewal.state(config, deps);
    secrets.values.set(`default/${names.key}`, oldKey);
    expect(await signer()).toBe(second);
  });

  it('cannot be activated or taken back before it was prepared', async () => {
    await expect(renewal.activate(config, deps)).rejects.toMatchObject({ code: 'not-configured' });
    await expect(renewal.restore(config, deps)).rejects.toMatchObject({ code: 'not-configured' });
  });

  it('keeps its third Secret from being deleted', () => {
    expect(builtinCa.usedSecrets(config)).toEqual([names.cert, names.key, names.renewal]);
  });
});
