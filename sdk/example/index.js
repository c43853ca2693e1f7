// @ts-check
/** A CA backend that signs with a key of its own: the example of docs/guides/write-a-ca-backend.md. */
import 'reflect-metadata';
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { CaFailure, dataSource, defineCaPlugin } from '@weft/ca-backend';

/** @typedef {{ cert: string, key: string, maxLifetimeHours?: number }} Conf */

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** For proxies whose clock is behind. */
const CLOCK_SKEW_MS = 10_000;

export default defineCaPlugin(
  /** @type {Omit<import('@weft/ca-backend').CaPlugin<Conf>, 'protocol'>} */
  ({
    type: 'local-key',

    confSchema: {
      type: 'object',
      additionalProperties: false,
      required: ['cert', 'key'],
      properties: {
        cert: dataSource('PEM certificate of the CA; an intermediate is followed by its root'),
        key: dataSource('PEM private key of the CA'),
        maxLifetimeHours: { type: 'integer', minimum: 1, description: 'no leaf lives longer' },
      },
    },

    async validate({ cert, key }) {
      try {
        const signer = new X509Certificate(cert);
        if (!signer.ca) return [{ field: 'cert', message: 'is no CA certificate' }];
        if (!signer.checkPrivateKey(createPrivateKey(key)))
          return [{ field: 'key', message: 'is not the key of cert' }];
        return [];
      } catch {
        return [{ field: '', message: 'cert and key have to be a certificate and a private key in PEM' }];
      }
    },

    open(conf, { log }) {
      // Loaded with the first call: a bad key is an answer then, with a reason.
      /** @type {Promise<Signer> | undefined} */
      let signer;
      const load = () => (signer ??= loadSigner(conf));
      return {
        trustAnchors: async () => ({ pem: (await load()).certificates.map((one) => one.toString('pem')).join('\n') }),
        async sign(request, signal) {
          signal.throwIfAborted();
          const chainPem = await signLeaf(await load(), request, conf);
          log.debug(`signed a leaf for ${request.proxy}`);
          return { chainPem };
        },
      };
    },
  }),
);

/** @typedef {{ certificates: x509.X509Certificate[], key: CryptoKey, algorithm: EcdsaParams }} Signer */

/** @param {Conf} conf @returns {Promise<Signer>} */
async function loadSigner({ cert, key }) {
  try {
    const certificates = x509.PemConverter.decode(cert).map((der) => new x509.X509Certificate(der));
    const own = createPrivateKey(key);
    const algorithm =
      own.asymmetricKeyType === 'rsa'
        ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
        : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const der = new Uint8Array(own.export({ format: 'der', type: 'pkcs8' }));
    return { certificates, key: await crypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']), algorithm };
  } catch (cause) {
    throw new CaFailure('not-configured', 'load the CA: cert and key are no RSA or P-256 pair in PEM', { cause });
  }
}

/** @param {Signer} ca @param {import('@weft/ca-backend').SignRequest} request @param {Conf} conf */
async function signLeaf(ca, { csrPem, uriSans, lifetimeMs }, { maxLifetimeHours = 24 * 365 }) {
  const csr = await readCsr(csrPem);
  const signer = /** @type {x509.X509Certificate} */ (ca.certificates[0]);
  const now = Date.now();
  const caEnd = Math.min(...ca.certificates.map(({ notAfter }) => notAfter.getTime()));
  if (now >= caEnd)
    throw new CaFailure('not-configured', 'the CA has expired: put a new one into conf.cert and conf.key');
  const names = uriSans.map((value) => ({ type: /** @type {const} */ ('url'), value }));
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: `7f${randomBytes(15).toString('hex')}`,
    issuer: signer.subjectName,
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(Math.min(now + lifetimeMs, now + maxLifetimeHours * 3_600_000, caEnd)),
    publicKey: csr.publicKey,
    signingKey: ca.key,
    signingAlgorithm: ca.algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension(names, true),
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([SERVER_AUTH, CLIENT_AUTH]),
      await x509.AuthorityKeyIdentifierExtension.create(signer),
    ],
  });
  const intermediates = ca.certificates.filter(({ subject, issuer }) => subject !== issuer);
  return [leaf, ...intermediates].map((one) => one.toString('pem')).join('\n');
}

/** @param {string} pem */
async function readCsr(pem) {
  try {
    const csr = new x509.Pkcs10CertificateRequest(pem);
    if (await csr.verify()) return csr;
  } catch {
    // Said below.
  }
  throw new CaFailure(
    'invalid-request',
    'sign a leaf: the certificate request cannot be read or is not signed by its key',
  );
}
