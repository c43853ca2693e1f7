import { type CertificateSpec, CLIENT_AUTH, createCertificate, KEY_USAGE, SERVER_AUTH } from '../x509/certificate.ts';
import { generateEcKey, generateRsaKey, type KeyPair, toPkcs8Pem } from '../x509/key.ts';
import { toPem } from '../x509/pem.ts';

/** A CA or leaf made for a test. */
export interface TestCertificate {
  readonly der: Buffer;
  readonly pem: string;
  readonly keys: KeyPair;
  /** PKCS#8 PEM. */
  readonly keyPem: string;
}

/** What a test wants to be different from a good certificate. `from` and `to` are offsets from now in ms. */
export type TestCertificateOptions = Partial<Omit<CertificateSpec, 'publicKey' | 'issuer' | 'key'>> & {
  readonly now?: number;
  readonly from?: number;
  readonly to?: number;
  readonly keys?: KeyPair;
  readonly rsaBits?: number;
  readonly issuer?: TestCertificate;
};

const DAY_MS = 86_400_000;

/** A good CA (self-signed, or signed by `issuer`) unless the options say otherwise. */
export function createTestCa(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  return create(
    {
      subject: 'O=Kuma, OU=Mesh, CN=default',
      isCa: true,
      keyUsage: KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign,
      uriSans: ['spiffe://default'],
    },
    { to: 365 * DAY_MS, ...options },
  );
}

/** A good leaf for `spiffe://default/web` signed by `issuer` unless the options say otherwise. */
export function createTestLeaf(
  issuer: TestCertificate,
  options: TestCertificateOptions = {},
): Promise<TestCertificate> {
  return create(
    {
      subject: '',
      isCa: false,
      keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.keyEncipherment | KEY_USAGE.keyAgreement,
      extendedKeyUsage: [SERVER_AUTH, CLIENT_AUTH],
      uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web'],
    },
    { to: DAY_MS, issuer, ...options },
  );
}

async function create(
  good: Omit<CertificateSpec, 'publicKey' | 'issuer' | 'key' | 'notBefore' | 'notAfter'>,
  options: TestCertificateOptions,
): Promise<TestCertificate> {
  const { now = Date.now(), from = -10_000, to = DAY_MS, keys: given, rsaBits, issuer, ...rest } = options;
  const keys = given ?? (rsaBits === undefined ? generateEcKey() : await generateRsaKey(rsaBits));
  const signed = issuer
    ? { issuer: { certificate: issuer.der, key: issuer.keys.privateKey } }
    : { key: keys.privateKey };
  const der = await createCertificate({
    notBefore: now + from,
    notAfter: now + to,
    publicKey: keys.publicKey,
    ...good,
    ...rest,
    ...signed,
  });
  return { der, pem: toPem('CERTIFICATE', der), keys, keyPem: toPkcs8Pem(keys.privateKey) };
}
