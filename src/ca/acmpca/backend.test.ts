import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createCaDependencies,
  createMemoryPending,
  createMemorySecrets,
  createRequest,
  describeCaBackend,
} from '../../testing/ca-contract.ts';
import { createTestCa } from '../../testing/certificates.ts';
import { awsFailure, FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../testing/fakes/acm-pca.ts';
import { inspectCertificate } from '../../x509/certificate.ts';
import { parseCertificates } from '../../x509/chain.ts';
import { createTrustStore, verifyLeaf } from '../../x509/verify.ts';
import type { BackendConfig, CaBackend, CaDependencies } from '../backend.ts';
import { createEgress } from '../egress.ts';
import { acmPcaCa } from './backend.ts';

const DAY = 86_400_000;
const CREDENTIALS = {
  accessKey: { inlineString: FAKE_CREDENTIALS.accessKeyId },
  accessKeySecret: { secret: 'aws-secret-key' },
};

describe('acmpca', () => {
  const signal = new AbortController().signal;
  let fake: FakeAcmPca;
  let deps: CaDependencies;
  let backend: CaBackend;
  const opened: CaBackend[] = [];

  const config = (conf: object = {}): BackendConfig => ({
    mesh: 'default',
    name: 'acm-1',
    type: 'acmpca',
    conf: { arn: fake.arn, endpoint: fake.endpoint, auth: { awsCredentials: CREDENTIALS }, ...conf },
  });
  const open = (conf?: object, change: Partial<CaDependencies> = {}): CaBackend => {
    const one = acmPcaCa.open(config(conf), { ...deps, ...change });
    opened.push(one);
    return one;
  };
  const calls = (action: string) => fake.calls.get(action) ?? 0;
  const check = async (chain: { pem: string; anchorsPem?: string }, request: ReturnType<typeof createRequest>) =>
    verifyLeaf(chain.pem, {
      keys: request.keys,
      uriSans: request.uriSans,
      now: Date.now(),
      trust: await createTrustStore((await backend.trustAnchors(signal)).pem),
    });

  beforeEach(async () => {
    fake = await startFakeAcmPca();
    deps = createCaDependencies({
      secrets: createMemorySecrets({ 'aws-secret-key': `${FAKE_CREDENTIALS.secretAccessKey}\n` }),
      egress: createEgress({ allowedEndpoints: ['127.0.0.1'] }),
      pending: createMemoryPending(),
    });
    backend = open();
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close?.();
    await fake.close();
  });

  describe.each([
    ['with a subordinate CA', {}],
    ['with a CA of an RSA key', { rsa: true }],
  ])('%s', (name, options) => {
    beforeEach(async () => {
      await fake.close();
      fake = await startFakeAcmPca(options);
    });
    describeCaBackend(`acmpca ${name}`, async () => ({ kind: acmPcaCa, config: config(), deps }));
  });

  it('asks for what AWS wants to be told: the CSR, the moment it ends, a token of its own', async () => {
    const request = createRequest('default', { lifetimeMs: DAY });
    const before = Math.floor(Date.now() / 1000);
    await backend.sign(request, signal);
    const [input] = fake.issued;
    expect(input).toMatchObject({
      CertificateAuthorityArn: fake.arn,
      SigningAlgorithm: 'SHA256WITHECDSA',
      TemplateArn: 'arn:aws:acm-pca:::template/EndEntityCertificate/V1',
      Validity: { Type: 'ABSOLUTE' },
      ValidityNotBefore: { Type: 'ABSOLUTE' },
      IdempotencyToken: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    const seconds = (field: string) => (input![field] as { Value: number }).Value - before;
    expect(seconds('Validity')).toBeGreaterThanOrEqual(DAY / 1000 - 1);
    expect(seconds('Validity')).toBeLessThan(DAY / 1000 + 10);
    expect(seconds('ValidityNotBefore')).toBeGreaterThan(-62);
    expect(seconds('ValidityNotBefore')).toBeLessThan(0);
  });

  it('trusts the root above the CA, or what caCert says', async () => {
    expect(parseCertificates((await backend.trustAnchors(signal)).pem)).toEqual(parseCertificates(fake.chain));
    const caCert = { inlineString: fake.chain + (await createTestCa()).pem };
    const given = open({ caCert });
    expect(parseCertificates((await given.trustAnchors(signal)).pem)).toHaveLength(2);
    expect(await given.sign(createRequest('default'), signal)).not.toHaveProperty('anchorsPem');
  });

  it('puts the common name into the subject', async () => {
    const request = createRequest('default');
    const named = open({ commonName: '{{ tag "kuma.io/service" | replace "_" "-" }}.mesh' });
    const chain = await named.sign(request, signal);
    expect((await inspectCertificate(parseCertificates(chain.pem)[0]!)).subjectText).toBe('CN=web.mesh');
    expect(await check(chain, request)).toMatchObject({ ok: true });
  });

  it('looks at the CA once, and gives no leaf of more than seven days in short-lived mode', async () => {
    fake.usageMode = 'SHORT_LIVED_CERTIFICATE';
    for (let count = 0; count < 5; count += 1) {
      const chain = await backend.sign(createRequest('default', { lifetimeMs: 30 * DAY }), signal);
      const { node } = await inspectCertificate(parseCertificates(chain.pem)[0]!);
      expect(node.validToDate.getTime()).toBeLessThanOrEqual(Date.now() + 7 * DAY);
      expect(node.validToDate.getTime()).toBeGreaterThan(Date.now() + 6.9 * DAY);
    }
    expect(calls('DescribeCertificateAuthority')).toBe(1);
  });

  it('waits for a certificate that takes its time, more and more patiently', async () => {
    fake.inProgress = 3;
    await backend.sign(createRequest('default'), signal);
    expect(calls('GetCertificate')).toBe(4);
    expect(calls('IssueCertificate')).toBe(1);
  });

  it('says at the deadline that the certificate is paid for, and fetches it at the next attempt', async () => {
    fake.inProgress = 1000;
    const request = createRequest('default', { sealedKey: () => 'sealed' });
    const failed = backend.sign(request, AbortSignal.timeout(1000));
    await expect(failed).rejects.toMatchObject({ code: 'timeout', reason: 'IssuancePending' });
    fake.inProgress = 0;
    const resumed = await backend.resume!('web-1', request.uriSans, signal);
    expect(resumed?.sealedKey).toBe('sealed');
    expect(await check(await resumed!.finish(signal), request)).toMatchObject({ ok: true });
    expect(fake.paid).toBe(1);
    expect(await backend.resume!('web-1', request.uriSans, signal)).toBeUndefined();
  });

  it.each(['after AWS has taken it', 'while AWS takes it'])(
    'goes on with an order of a former process, killed %s',
    async (moment) => {
      const request = createRequest('default', { sealedKey: () => 'sealed' });
      fake.intercept = (action) => {
        const broken = moment.startsWith('after') ? 'GetCertificate' : 'IssueCertificate';
        return action === broken ? { status: 0 } : undefined;
      };
      await expect(backend.sign(request, signal)).rejects.toMatchObject({ code: 'unavailable' });
      fake.intercept = () => undefined;
      const asked = calls('IssueCertificate');
      const next = open();
      const resumed = await next.resume!('web-1', request.uriSans, signal);
      expect(await check(await resumed!.finish(signal), request)).toMatchObject({ ok: true });
      expect(fake.paid).toBe(1);
      expect(calls('IssueCertificate') - asked).toBe(moment.startsWith('after') ? 0 : 1);
    },
  );

  it('asks AWS the same question when it did not hear the answer, and pays once', async () => {
    const request = createRequest('default', { sealedKey: () => 'sealed' });
    await backend.trustAnchors(signal);
    fake.loses = (action) => action === 'IssueCertificate';
    await expect(backend.sign(request, signal)).rejects.toMatchObject({ code: 'unavailable' });
    fake.loses = () => false;
    const resumed = await backend.resume!('web-1', request.uriSans, signal);
    expect(await check(await resumed!.finish(signal), request)).toMatchObject({ ok: true });
    expect(fake.paid).toBe(1);
    expect(calls('IssueCertificate')).toBe(2);
  });

  it('does not go on with an order for other names, or of another CA', async () => {
    fake.inProgress = 1000;
    const request = createRequest('default', { sealedKey: () => 'sealed' });
    await expect(backend.sign(request, AbortSignal.timeout(500))).rejects.toThrow();
    expect(await backend.resume!('web-1', ['spiffe://default/other'], signal)).toBeUndefined();
    await expect(backend.sign(request, AbortSignal.timeout(500))).rejects.toThrow();
    const other = open({ arn: fake.arn.replace(/a$/, 'b') });
    expect(await other.resume!('web-1', request.uriSans, signal)).toBeUndefined();
  });

  it('says at once that it was throttled, and asks the same question at the next attempt', async () => {
    await backend.trustAnchors(signal);
    const throttled = awsFailure('ThrottlingException', 'Rate exceeded');
    fake.intercept = (action) => (action === 'IssueCertificate' ? throttled : undefined);
    const request = createRequest('default', { sealedKey: () => 'sealed' });
    await expect(backend.sign(request, signal)).rejects.toMatchObject({ code: 'throttled', reason: 'Throttled' });
    fake.intercept = () => undefined;
    const resumed = await backend.resume!('web-1', request.uriSans, signal);
    expect(await check(await resumed!.finish(signal), request)).toMatchObject({ ok: true });
  });

  it('fetches in turns below the quota, and waits when it is throttled all the same', async () => {
    fake.quota = { issue: 1000, fetch: 20 };
    const chains = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        backend.sign(createRequest('default', { proxy: `web-${index}` }), signal),
      ),
    );
    expect(new Set(chains.map(({ pem }) => pem)).size).toBe(12);
    expect(fake.paid).toBe(12);
    fake.intercept = (action) => (action === 'GetCertificate' ? awsFailure('ThrottlingException') : undefined);
    await expect(backend.sign(createRequest('default'), AbortSignal.timeout(500))).rejects.toMatchObject({
      code: 'throttled',
    });
  });

  it.each([
    ['AccessDeniedException', 'not authorized to perform: acm-pca:IssueCertificate', 'forbidden', 'AccessDenied'],
    [
      'ExpiredTokenException',
      'The security token included in the request is expired',
      'forbidden',
      'CredentialsExpired',
    ],
    ['UnrecognizedClientException', '', 'forbidden', 'CredentialsUnknown'],
    ['InvalidSignatureException', 'Signature expired: 20261126T000000Z is now earlier', 'forbidden', 'ClockWrong'],
    ['InvalidSignatureException', 'does not match', 'forbidden', 'SecretKeyWrong'],
    ['ResourceNotFoundException', '', 'not-configured', 'CaNotFound'],
    ['InvalidArnException', '', 'not-configured', 'InvalidArn'],
    ['InvalidStateException', '', 'not-configured', 'CaNotActive'],
    ['LimitExceededException', '', 'denied', 'QuotaReached'],
    ['MalformedCSRException', '', 'invalid-request', 'MalformedCsr'],
    ['InvalidArgsException', '', 'invalid-request', 'RequestRefused'],
    ['ValidationException', '', 'invalid-request', 'RequestRefused'],
  ])('tells %s (%s) apart, and forgets the order', async (type, message, code, reason) => {
    await backend.trustAnchors(signal);
    fake.intercept = (action) => (action === 'IssueCertificate' ? awsFailure(type, message) : undefined);
    const request = createRequest('default', { sealedKey: () => 'sealed' });
    const error = await backend.sign(request, signal).then(
      () => expect.fail('signed'),
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code, reason, message: expect.stringMatching(/^backend "acm-1" of mesh default: /) });
    if (reason === 'AccessDenied') {
      expect(JSON.parse((error as { fix: string }).fix)).toMatchObject({
        Statement: [{ Action: expect.arrayContaining(['acm-pca:IssueCertificate']), Resource: fake.arn }],
      });
    }
    expect(await backend.resume!('web-1', request.uriSans, signal)).toBeUndefined();
  });

  it.each([
    ['DISABLED', /is disabled; enable it/, 'update-certificate-authority --status ACTIVE'],
    ['PENDING_CERTIFICATE', /has no certificate yet/, 'get-certificate-authority-csr'],
    ['DELETED', /is deleted; restore it/, 'restore-certificate-authority'],
    ['EXPIRED', /has expired/, 'get-certificate-authority-csr'],
  ])('says of a CA that is %s what to do, and asks it for nothing', async (status, message, fix) => {
    fake.status = status;
    const refusal = { code: 'not-configured', reason: 'CaNotActive', message: expect.stringMatching(message) };
    await expect(backend.trustAnchors(signal)).rejects.toMatchObject({ ...refusal, fix: expect.stringContaining(fix) });
    await expect(backend.sign(createRequest('default'), signal)).rejects.toMatchObject(refusal);
    expect(calls('IssueCertificate')).toBe(0);
    fake.status = 'ACTIVE';
    await backend.sign(createRequest('default'), signal);
  });

  it('pays for nothing that caCert would not trust', async () => {
    const stranger = open({ caCert: { inlineString: (await createTestCa()).pem } });
    await expect(stranger.sign(createRequest('default'), signal)).rejects.toMatchObject({
      reason: 'CaCertificateWrong',
      field: 'caCert',
      fix: expect.stringContaining('get-certificate-authority-certificate'),
    });
    expect(fake.paid).toBe(0);
  });

  it('notices with an answer that the CA is another one, and looks at it before the next', async () => {
    const pinned = open({ caCert: { inlineString: fake.chain } });
    await pinned.sign(createRequest('default'), signal);
    const before = await backend.sign(createRequest('default'), signal);
    fake.ca = await createTestCa({ subject: 'O=Weft, CN=new', uriSans: [] });
    fake.chain = '';
    const after = await backend.sign(createRequest('default'), signal);
    expect(after.anchorsPem).not.toBe(before.anchorsPem);
    await pinned.sign(createRequest('default'), signal);
    const { paid } = fake;
    await expect(pinned.sign(createRequest('default'), signal)).rejects.toMatchObject({ reason: 'CaCertificateWrong' });
    expect(fake.paid).toBe(paid);
  });

  it('finds before anything is paid what the CA would not do', async () => {
    const wanted = { ...config(), leafLifetimeMs: 30 * DAY };
    const rehearse = () => acmPcaCa.rehearse!(wanted, 'mtls.backends[0].conf', deps, signal);
    expect(await rehearse()).toEqual([]);
    fake.usageMode = 'SHORT_LIVED_CERTIFICATE';
    expect(await rehearse()).toMatchObject([{ field: 'mtls.backends[0].dpCert.rotation.expiration' }]);
    fake.status = 'DISABLED';
    await expect(rehearse()).rejects.toMatchObject({ field: 'arn', reason: 'CaNotActive' });
    expect(fake.paid).toBe(0);
  });

  it('refuses credentials that cannot be loaded, and takes those that are there later', async () => {
    const secrets = createMemorySecrets();
    const poor = open({}, { secrets });
    await expect(poor.trustAnchors(signal)).rejects.toMatchObject({
      reason: 'CredentialsMissing',
      message: expect.stringContaining('aws-secret-key'),
    });
    secrets.values.set('default/aws-secret-key', Buffer.from(FAKE_CREDENTIALS.secretAccessKey));
    await poor.trustAnchors(signal);
  });

  it('never says a secret', async () => {
    const secrets = createMemorySecrets({ 'aws-secret-key': 'another/secret/key/of/some/characters' });
    const wrong = open({}, { secrets });
    const error = await wrong.trustAnchors(signal).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: 'SecretKeyWrong' });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('another/secret');
  });

  it('cannot be sent to this machine unless the control plane allows that', async () => {
    const closed = { ...deps, egress: createEgress({ allowedEndpoints: [] }) };
    expect(await acmPcaCa.validate(config(), 'mtls.backends[0].conf', closed)).toEqual([
      { field: 'mtls.backends[0].conf.endpoint', message: expect.stringContaining('weft.ca.allowedEndpoints') },
    ]);
  });

  it('ends what is under way when it is closed', async () => {
    fake.inProgress = 1000;
    const signing = backend.sign(createRequest('default'), signal);
    signing.catch(() => undefined);
    await expect.poll(() => calls('GetCertificate')).toBeGreaterThan(0);
    await backend.close!();
    await expect(signing).rejects.toMatchObject({ code: 'unavailable' });
  });
});
