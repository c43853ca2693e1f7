import { describe, expect, it } from 'vitest';
import { createCaDependencies, createMemorySecrets, createRequest, describeCaBackend } from '../testing/ca-contract.ts';
import { inspectCertificate, KEY_USAGE } from '../x509/certificate.ts';
import { parseCertificates } from '../x509/chain.ts';
import { parsePrivateKey } from '../x509/key.ts';
import type { BackendConfig } from './backend.ts';
import { builtinCa } from './builtin.ts';
import { builtinSecretNames } from './builtin-secrets.ts';

const config = (conf: Record<string, unknown> = {}, name = 'ca-1'): BackendConfig => ({
  mesh: 'default',
  name,
  type: 'builtin',
  conf,
});
const names = builtinSecretNames('default', 'ca-1');
const signal = new AbortController().signal;

describeCaBackend('builtin', async () => ({ kind: builtinCa, config: config(), deps: createCaDependencies() }));
describeCaBackend('builtin with RSA', async () => ({
  kind: builtinCa,
  config: config({ caCert: { RSAbits: 2048, expiration: '30d' } }),
  deps: createCaDependencies(),
}));

describe('ensure', () => {
  it('makes a P-256 CA as Kuma describes it, in the two Secrets Kuma names', async () => {
    const now = Date.UTC(2026, 10, 24);
    const secrets = createMemorySecrets();
    await builtinCa.ensure!(config(), createCaDependencies({ secrets, now: () => now }));
    expect([...secrets.values.keys()]).toEqual([
      'default/default.ca-builtin-cert-ca-1',
      'default/default.ca-builtin-key-ca-1',
    ]);
    const key = secrets.values.get(`default/${names.key}`)!;
    expect(key.toString()).toContain('BEGIN EC PRIVATE KEY');
    const facts = await inspectCertificate(parseCertificates(secrets.values.get(`default/${names.cert}`)!)[0]!);
    expect(facts).toMatchObject({
      subjectText: 'CN=default,OU=Mesh,O=Kuma',
      issuerText: 'CN=default,OU=Mesh,O=Kuma',
      isCa: true,
      keyUsage: KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign,
      uriSans: ['spiffe://default'],
      signatureHash: 'SHA-256',
    });
    expect(facts.node.verify(facts.node.publicKey)).toBe(true);
    expect(facts.node.checkPrivateKey(parsePrivateKey(key).privateKey)).toBe(true);
    expect(facts.node.validFromDate.getTime()).toBe(now - 10_000);
    expect(facts.node.validToDate.getTime()).toBe(now + 10 * 365 * 86_400_000);
  });

  it('makes an RSA CA of the asked size and life', async () => {
    const now = Date.UTC(2026, 10, 24);
    const secrets = createMemorySecrets();
    const deps = createCaDependencies({ secrets, now: () => now });
    await builtinCa.ensure!(config({ caCert: { RSAbits: '3072', expiration: '1y' } }), deps);
    expect(secrets.values.get(`default/${names.key}`)!.toString()).toContain('BEGIN RSA PRIVATE KEY');
    const facts = await inspectCertificate(parseCertificates(secrets.values.get(`default/${names.cert}`)!)[0]!);
    expect(facts.node.publicKey.asymmetricKeyDetails).toMatchObject({ modulusLength: 3072 });
    expect(facts.node.validToDate.getTime()).toBe(now + 365 * 86_400_000);
  });

  it('uses what is there, also after a change of caCert', async () => {
    const secrets = createMemorySecrets();
    const deps = createCaDependencies({ secrets });
    await builtinCa.ensure!(config(), deps);
    const before = new Map(secrets.values);
    await builtinCa.ensure!(config({ caCert: { RSAbits: 4096 } }), deps);
    expect(secrets.values).toEqual(before);
  });

  it('leaves one matching pair when replicas race', async () => {
    const secrets = createMemorySecrets();
    const deps = createCaDependencies({ secrets });
    await Promise.all(Array.from({ length: 5 }, () => builtinCa.ensure!(config(), deps)));
    expect(secrets.values.size).toBe(2);
    await expect(builtinCa.open(config(), deps).sign(createRequest('default'), signal)).resolves.toBeDefined();
  });

  it('writes both Secrets or none when the store breaks midway, and works the next time', async () => {
    const secrets = createMemorySecrets();
    const deps = createCaDependencies({ secrets });
    secrets.breakNextCreate();
    await expect(builtinCa.ensure!(config(), deps)).rejects.toThrowError('the store went away');
    expect(secrets.values.size).toBe(0);
    await builtinCa.ensure!(config(), deps);
    await expect(builtinCa.open(config(), deps).trustAnchors(signal)).resolves.toBeDefined();
  });

  it('takes both Secrets of another replica whose transaction came between the two reads', async () => {
    const secrets = createMemorySecrets();
    const deps = createCaDependencies({ secrets });
    await builtinCa.ensure!(config(), deps);
    const made = new Map(secrets.values);
    let reads = 0;
    // The first read is of before the transaction, every later one of after.
    const between = {
      ...secrets,
      read: async (mesh: string, name: string) => {
        reads += 1;
        return reads === 1 ? undefined : secrets.read(mesh, name);
      },
    };
    await builtinCa.ensure!(config(), { ...deps, secrets: between });
    expect(secrets.values).toEqual(made);
  });

  it.each([names.cert, names.key])('refuses to guess when only %s exists', async (name) => {
    const deps = createCaDependencies({ secrets: createMemorySecrets({ [name]: 'x' }) });
    await expect(builtinCa.ensure!(config(), deps)).rejects.toMatchObject({
      code: 'not-configured',
      message: expect.stringContaining('exists without'),
    });
  });
});

describe('open', () => {
  it('reads the Secrets again after a failure, and keeps them after success', async () => {
    const secrets = createMemorySecrets();
    const deps = createCaDependencies({ secrets });
    const backend = builtinCa.open(config(), deps);
    await expect(backend.trustAnchors(signal)).rejects.toMatchObject({ code: 'not-configured' });
    await builtinCa.ensure!(config(), deps);
    await backend.trustAnchors(signal);
    secrets.values.clear();
    await expect(backend.sign(createRequest('default'), signal)).resolves.toBeDefined();
  });

  it('refuses a key that is not the certificate’s', async () => {
    const [one, two] = [createMemorySecrets(), createMemorySecrets()];
    await builtinCa.ensure!(config(), createCaDependencies({ secrets: one }));
    await builtinCa.ensure!(config(), createCaDependencies({ secrets: two }));
    one.values.set(`default/${names.key}`, two.values.get(`default/${names.key}`)!);
    const backend = builtinCa.open(config(), createCaDependencies({ secrets: one }));
    await expect(backend.trustAnchors(signal)).rejects.toMatchObject({
      code: 'not-configured',
      message: expect.stringContaining('does not match'),
    });
  });

  it.each([
    [['spiffe://other/web']],
    [['spiffe://default/web', 'spiffe://default.evil/web']],
    [['spiffe://default']],
    [['spiffe://default/a/../b']],
    [['kuma://kuma.io/service/web']],
    [['spiffe://default/web', 'kuma://kuma.io/service/web, URI:spiffe://default/admin']],
    [['spiffe://default/web', 'https://default/web']],
    [[]],
  ])('does not speak for %j', async (uriSans) => {
    const deps = createCaDependencies();
    await builtinCa.ensure!(config(), deps);
    const request = createRequest('default', { uriSans });
    await expect(builtinCa.open(config(), deps).sign(request, signal)).rejects.toMatchObject({
      code: 'invalid-request',
    });
  });

  it('signs nothing once the CA has expired', async () => {
    let now = Date.now();
    const deps = createCaDependencies({ now: () => now });
    await builtinCa.ensure!(config({ caCert: { expiration: '1h' } }), deps);
    const backend = builtinCa.open(config(), deps);
    await backend.sign(createRequest('default'), signal);
    now += 3_600_001;
    await expect(backend.sign(createRequest('default'), signal)).rejects.toMatchObject({
      code: 'not-configured',
      message: expect.stringContaining('expired at'),
    });
  });
});

describe('validate', () => {
  const path = 'mtls.backends[0].conf';
  it.each<[string, BackendConfig, string, RegExp]>([
    ['caCert that is no object', config({ caCert: 'x' }), path, /could not convert backend config/],
    ['RSAbits that is no number', config({ caCert: { RSAbits: 'many' } }), path, /could not convert backend config/],
    ['negative RSAbits', config({ caCert: { RSAbits: -1 } }), path, /could not convert backend config/],
    ['weak RSA', config({ caCert: { RSAbits: 1024 } }), `${path}.caCert.RSAbits`, /2048 to 8192/],
    ['endless RSA', config({ caCert: { RSAbits: 65536 } }), `${path}.caCert.RSAbits`, /2048 to 8192/],
    ['a Go duration', config({ caCert: { expiration: '1h30m' } }), `${path}.caCert.expiration`, /valid format/],
    ['no life', config({ caCert: { expiration: '0' } }), `${path}.caCert.expiration`, /valid format/],
    ['a life beyond dates', config({ caCert: { expiration: '9000y' } }), `${path}.caCert.expiration`, /year 9999/],
    ['a long name', config({}, 'a'.repeat(240)), `${path}.mtls.backends.name`, /too long/],
    ['an upper-case name', config({}, 'CA-1'), `${path}.mtls.backends.name`, /"CA-1" name must be valid dns name/],
    ['a name with a space', config({}, 'ca 1'), `${path}.mtls.backends.name`, /valid dns name/],
    ['an unknown key type', config({ leafKeyType: 'dsa' }), `${path}.leafKeyType`, /ec-p256, rsa-2048/],
  ])('refuses %s', async (_, bad, field, message) => {
    const violations = await builtinCa.validate(bad, path, createCaDependencies());
    expect(violations[0]).toEqual({ field, message: expect.stringMatching(message) });
  });

  it('accepts what Kuma accepts', async () => {
    const deps = createCaDependencies();
    for (const conf of [
      {},
      { caCert: null },
      { caCert: { RSAbits: 0 } },
      { unknown: 1 },
      { caCert: { expiration: '10y' } },
    ]) {
      expect(await builtinCa.validate(config(conf, 'ca_1.x-y'), path, deps)).toEqual([]);
    }
  });
});
