import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { acmPcaCa } from '../../src/ca/acmpca/backend.ts';
import type { CaBackend, CaError } from '../../src/ca/backend.ts';
import { createEgress } from '../../src/ca/egress.ts';
import { createCaDependencies, createRequest, describeCaBackend } from '../../src/testing/ca-contract.ts';
import type { TestCertificate } from '../../src/testing/certificates.ts';
import { FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { type Moto, missingMoto, startMoto } from '../../src/testing/moto.ts';
import { inspectCertificate, KEY_USAGE } from '../../src/x509/certificate.ts';
import { parseCertificates } from '../../src/x509/chain.ts';
import { createTrustStore, verifyLeaf } from '../../src/x509/verify.ts';

const missing = missingMoto();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const deps = createCaDependencies({ egress: createEgress({ allowedEndpoints: ['127.0.0.1'] }) });
const signal = AbortSignal.timeout(240_000);

describe.skipIf(missing !== undefined)(`acmpca with moto${missing === undefined ? '' : ` (${missing})`}`, () => {
  let moto: Moto;
  let ca: { readonly arn: string; readonly root: TestCertificate };
  let user: { readonly accessKeyId: string; readonly secretAccessKey: string };
  const opened: CaBackend[] = [];
  const conf = (keys: Partial<typeof user> = {}) => ({
    arn: ca.arn,
    endpoint: moto.endpoint,
    caCert: { inlineString: ca.root.pem },
    auth: {
      awsCredentials: {
        accessKey: { inlineString: keys.accessKeyId ?? user.accessKeyId },
        accessKeySecret: { inlineString: keys.secretAccessKey ?? user.secretAccessKey },
      },
    },
  });
  const open = (change: Readonly<Record<string, unknown>>): CaBackend => {
    const one = acmPcaCa.open({ mesh: 'default', name: 'acm-1', type: 'acmpca', conf: change }, deps);
    opened.push(one);
    return one;
  };
  const refusal = (backend: CaBackend) =>
    backend.trustAnchors(signal).then(
      () => expect.fail('it was not refused'),
      (error: unknown) => error as CaError,
    );

  beforeAll(async () => {
    moto = await startMoto();
    ca = await moto.createCa();
    user = await moto.createUser('weft');
  }, 120_000);
  afterAll(async () => {
    for (const one of opened) await one.close?.();
    await moto?.close();
  });

  describe('in front of which stands what moto lacks', () => {
    let fake: FakeAcmPca;
    beforeAll(async () => {
      fake = await startFakeAcmPca({ upstream: moto.endpoint });
    });
    afterAll(() => fake?.close());
    describeCaBackend('acmpca', async () => ({
      kind: acmPcaCa,
      config: {
        mesh: 'default',
        name: 'acm-1',
        type: 'acmpca',
        conf: {
          arn: fake.arn,
          endpoint: fake.endpoint,
          auth: {
            awsCredentials: {
              accessKey: { inlineString: FAKE_CREDENTIALS.accessKeyId },
              accessKeySecret: { inlineString: FAKE_CREDENTIALS.secretAccessKey },
            },
          },
        },
      },
      deps,
    }));
  });

  describe('that checks signatures and rights', () => {
    beforeAll(() => moto.enforceRights(true));
    afterAll(() => moto.enforceRights(false));

    it('says what is wrong with the credentials', async () => {
      expect(await refusal(open(conf({ secretAccessKey: 'x'.repeat(40) })))).toMatchObject({
        reason: 'SecretKeyWrong',
      });
      expect(await refusal(open(conf({ accessKeyId: 'AKIAXXXXXXXXXXXXXXXX' })))).toMatchObject({
        reason: 'CredentialsUnknown',
      });
    });

    it('needs no more rights than the policy that is printed when they are missing', async () => {
      const backend = open(conf());
      const { reason, fix = '' } = await refusal(backend);
      expect(reason).toBe('AccessDenied');
      await moto.enforceRights(false);
      // moto knows no rights on a single CA.
      await moto.setPolicy('weft', fix.replace(ca.arn, '*'));
      await moto.enforceRights(true);
      const anchors = await backend.trustAnchors(signal);
      const request = createRequest('default');
      const chain = await backend.sign(request, signal);
      const trust = await createTrustStore(anchors.pem);
      const verdict = await verifyLeaf(chain.pem, {
        keys: request.keys,
        uriSans: request.uriSans,
        now: Date.now(),
        trust,
      });
      expect(verdict).toMatchObject({ ok: true });
      const [leaf, ...above] = parseCertificates(chain.pem);
      expect(above).toHaveLength(1);
      expect(await inspectCertificate(leaf!)).toMatchObject({
        isCa: false,
        keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.keyEncipherment,
        uriSans: request.uriSans,
      });
    });

    it('takes the credentials of the environment where conf has none', async () => {
      const { auth: _auth, ...withoutAuth } = conf();
      vi.stubEnv('AWS_ACCESS_KEY_ID', user.accessKeyId);
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', user.secretAccessKey);
      vi.stubEnv('AWS_REGION', 'us-east-1');
      const backend = open(withoutAuth);
      await backend.sign(createRequest('default'), signal);
      vi.unstubAllEnvs();
    });
  });

  it('knows a CA that is not there, and one that is disabled', async () => {
    const other = ca.arn.replace(/.{12}$/, '000000000000');
    expect(await refusal(open({ ...conf(), arn: other }))).toMatchObject({ reason: 'CaNotFound' });
    const backend = open(conf());
    await moto.call('UpdateCertificateAuthority', { CertificateAuthorityArn: ca.arn, Status: 'DISABLED' });
    expect(await refusal(backend)).toMatchObject({ code: 'not-configured', reason: 'CaNotActive' });
    await moto.call('UpdateCertificateAuthority', { CertificateAuthorityArn: ca.arn, Status: 'ACTIVE' });
    await backend.sign(createRequest('default'), signal);
  });
});
