import { beforeAll, describe, expect, it } from 'vitest';
import { createCaDependencies, createMemorySecrets, createRequest, describeCaBackend } from '../testing/ca-contract.ts';
import { createTestCa, type TestCertificate } from '../testing/certificates.ts';
import { KEY_USAGE } from '../x509/certificate.ts';
import { parseCertificates } from '../x509/chain.ts';
import { toTraditionalPem } from '../x509/key.ts';
import type { BackendConfig } from './backend.ts';
import { providedCa } from './provided.ts';

const config = (conf: Record<string, unknown>): BackendConfig => ({
  mesh: 'default',
  name: 'ca-1',
  type: 'provided',
  conf,
});
const inline = (cert: string, key: string) => config({ cert: { inlineString: cert }, key: { inlineString: key } });
const path = 'mtls.backends[1].conf';
const signal = new AbortController().signal;

let ca: TestCertificate;
let other: TestCertificate;
beforeAll(async () => {
  ca = await createTestCa();
  other = await createTestCa();
});

describeCaBackend('provided from inlineString', async () => ({
  kind: providedCa,
  config: inline(ca.pem, ca.keyPem),
  deps: createCaDependencies(),
}));
describeCaBackend('provided from inline, RSA', async () => {
  const rsa = await createTestCa({ rsaBits: 2048 });
  const base64 = (text: string) => ({ inline: Buffer.from(text).toString('base64') });
  const conf = { cert: base64(rsa.pem), key: base64(toTraditionalPem(rsa.keys.privateKey)) };
  return { kind: providedCa, config: config(conf), deps: createCaDependencies() };
});
describeCaBackend('provided from secrets, an intermediate with its root', async () => {
  const lower = await createTestCa({ issuer: ca, subject: 'CN=lower', pathLength: 0, to: 40 * 86_400_000 });
  const secrets = createMemorySecrets({ 'my-cert': lower.pem + ca.pem, 'my-key': lower.keyPem });
  const conf = { cert: { secret: 'my-cert' }, key: { secret: 'my-key' } };
  return { kind: providedCa, config: config(conf), deps: createCaDependencies({ secrets }) };
});

describe('provided', () => {
  it('signs with the first certificate and trusts the whole PEM', async () => {
    const lower = await createTestCa({ issuer: ca, subject: 'CN=lower' });
    const backend = providedCa.open(inline(lower.pem + ca.pem + other.pem, lower.keyPem), createCaDependencies());
    const anchors = await backend.trustAnchors(signal);
    expect(parseCertificates(anchors.pem)).toEqual([lower.der, ca.der, other.der]);
    const chain = parseCertificates((await backend.sign(createRequest('default'), signal)).pem);
    expect(chain.slice(1)).toEqual([lower.der]);
  });

  it('names the Secrets it uses', () => {
    expect(providedCa.usedSecrets(config({ cert: { secret: 'a' }, key: { secret: 'b' } }))).toEqual(['a', 'b']);
    expect(providedCa.usedSecrets(config({ cert: { inline: 'a' }, key: null }))).toEqual([]);
  });

  it('says what is wrong when it is opened without having been validated', async () => {
    for (const conf of [
      {},
      { cert: 5, key: { secret: 7 } },
      { cert: { inlineString: 'x' }, key: { file: '/etc/shadow' } },
    ]) {
      const backend = providedCa.open(config(conf), createCaDependencies());
      await expect(backend.trustAnchors(signal)).rejects.toMatchObject({ code: 'not-configured' });
    }
  });
});

describe('validate', () => {
  const chosen = 'data source has to be chosen. Available sources: secret, file, inline';
  it.each<[string, Record<string, unknown>, [string, string | RegExp][]]>([
    [
      'nothing',
      {},
      [
        ['cert', 'has to be defined'],
        ['key', 'has to be defined'],
      ],
    ],
    ['no key', { cert: { inlineString: 'x' } }, [['key', 'has to be defined']]],
    [
      'no source chosen',
      { cert: {}, key: {} },
      [
        ['cert', chosen],
        ['key', chosen],
      ],
    ],
    [
      'empty sources',
      { cert: { secret: '' }, key: { inline: '' } },
      [
        ['cert.secret', 'cannot be empty'],
        ['key.inline', 'cannot be empty'],
      ],
    ],
    ['an empty file name', { cert: { file: '' }, key: { secret: 'k' } }, [['cert.file', 'cannot be empty']]],
    [
      'a missing Secret, on both fields',
      { cert: { secret: 'c' }, key: { secret: 'k' } },
      [
        ['cert', /^could not load data: resource not found: type="Secret" name="k" mesh="default"/],
        ['key', /^could not load data: resource not found: type="Secret" name="k" mesh="default"/],
      ],
    ],
    [
      'a file, when none is allowed',
      { cert: { file: '/etc/passwd' }, key: { inlineString: 'k' } },
      [
        ['cert', /^could not load data: open \/etc\/passwd: /],
        ['key', /^could not load data: open \/etc\/passwd: /],
      ],
    ],
  ])('refuses %s', async (_, conf, expected) => {
    const violations = await providedCa.validate(config(conf), path, createCaDependencies());
    expect(violations).toEqual(
      expected.map(([field, message]) => ({
        field: `${path}.${field}`,
        message: typeof message === 'string' ? message : expect.stringMatching(message),
      })),
    );
  });

  it.each<[string, () => Promise<[string, string]>, [string, RegExp][]]>([
    ['plain text', async () => ['CERT', 'KEY'], [['cert', /^not a valid TLS key pair: .*CERTIFICATE/]]],
    ['no key in the key', async () => [ca.pem, 'KEY'], [['cert', /^not a valid TLS key pair: .*PRIVATE KEY/]]],
    [
      'the key of another CA',
      async () => [ca.pem, other.keyPem],
      [['cert', /^not a valid TLS key pair: .*does not match/]],
    ],
    [
      'a broken certificate',
      async () => [ca.pem.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'), ca.keyPem],
      [['cert', /^not a valid TLS key pair/]],
    ],
    [
      'a broken certificate behind a good one',
      async () => [`${ca.pem}-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n`, ca.keyPem],
      [['cert[1]', /^not a valid x509 certificate/]],
    ],
    [
      'no CA at all',
      async () => {
        const bad = await createTestCa({ isCa: false, keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.keyAgreement });
        return [bad.pem, bad.keyPem];
      },
      [
        ['cert[0]', /basic constraint 'CA'/],
        ['cert[0]', /'keyCertSign' must be set/],
        ['cert[0]', /'keyAgreement' must NOT/],
      ],
    ],
    [
      'no key usage',
      async () => {
        const bad = await createTestCa({ keyUsage: KEY_USAGE.cRLSign });
        return [bad.pem, bad.keyPem];
      },
      [['cert[0]', /'keyCertSign' must be set/]],
    ],
    [
      'keyAgreement',
      async () => {
        const bad = await createTestCa({ keyUsage: KEY_USAGE.keyCertSign | KEY_USAGE.keyAgreement });
        return [bad.pem, bad.keyPem];
      },
      [['cert[0]', /'keyAgreement' must NOT/]],
    ],
    [
      'a bad second certificate',
      async () => {
        const bad = await createTestCa({ isCa: false, keyUsage: KEY_USAGE.keyCertSign });
        return [ca.pem + bad.pem, ca.keyPem];
      },
      [['cert[1]', /basic constraint 'CA'/]],
    ],
    [
      'an expired CA',
      async () => {
        const bad = await createTestCa({ from: -7_200_000, to: -3_600_000 });
        return [bad.pem, bad.keyPem];
      },
      [['cert[0]', /^expired at /]],
    ],
  ])('refuses %s', async (_, make, expected) => {
    const [cert, key] = await make();
    const violations = await providedCa.validate(inline(cert, key), path, createCaDependencies());
    expect(violations).toEqual(
      expected.map(([field, message]) => ({ field: `${path}.${field}`, message: expect.stringMatching(message) })),
    );
    expect(JSON.stringify(violations)).not.toMatch(/BEGIN|MII/);
  });
});
