import { generateEcKey } from '../x509/key.ts';
import { createTestCa, createTestLeaf, type TestCertificate, type TestCertificateOptions } from './certificates.ts';

/** A leaf for the request that is answered, good unless the options say otherwise. */
export type SignAnswer = (change?: TestCertificateOptions, issuer?: TestCertificate) => Promise<TestCertificate>;

/** What an answer is made of. */
export interface AnswerParts {
  /** URIs that were asked for. */
  readonly uriSans: readonly string[];
  readonly sign: SignAnswer;
  /** Of the issuer. */
  readonly ca: TestCertificate;
}

/** One kind of garbage, as PEM texts an issuer would send. */
export interface BadAnswer {
  readonly name: string;
  /** The certificate, with its chain. */
  readonly certificate: (parts: AnswerParts) => Promise<string>;
  /** There is a good leaf in it: what is usable of it may be used. */
  readonly usable?: true;
}

const HOUR = 3_600_000;

/** The garbage of the reliability matrix (F5) that any issuer can send. */
export const badAnswers: readonly BadAnswer[] = [
  { name: 'no certificate', certificate: async () => '' },
  { name: 'half a PEM', certificate: async ({ sign }) => (await sign()).pem.slice(0, 300) },
  { name: 'a megabyte', certificate: async () => 'A'.repeat(700_000) },
  {
    name: 'a certificate for another key',
    certificate: async ({ sign }) => (await sign({ keys: generateEcKey() })).pem,
  },
  {
    name: 'another SPIFFE ID',
    certificate: async ({ sign }) => (await sign({ uriSans: ['spiffe://default/admin'] })).pem,
  },
  {
    name: 'one SPIFFE ID too many',
    certificate: async ({ uriSans, sign }) => (await sign({ uriSans: [...uriSans, 'spiffe://default/admin'] })).pem,
  },
  { name: 'a CA', certificate: async ({ sign }) => (await sign({ isCa: true })).pem },
  { name: 'an expired one', certificate: async ({ sign }) => (await sign({ from: -2 * HOUR, to: -HOUR })).pem },
  {
    name: 'one that is not yet valid',
    certificate: async ({ sign }) => (await sign({ from: HOUR, to: 2 * HOUR })).pem,
  },
  {
    name: 'no clientAuth',
    certificate: async ({ sign }) => (await sign({ extendedKeyUsage: ['1.3.6.1.5.5.7.3.1'] })).pem,
  },
  { name: "a stranger's signature", certificate: async ({ sign }) => (await sign({}, await createTestCa())).pem },
  { name: 'SHA-1', certificate: async ({ sign }) => (await sign({ hash: 'SHA-1' })).pem },
  { name: 'HTML', certificate: async () => '<html>200 OK</html>' },
  {
    name: 'the chain the wrong way round',
    certificate: async ({ sign, ca }) => ca.pem + (await sign()).pem,
    usable: true,
  },
  {
    name: 'every block twice',
    certificate: async ({ sign, ca }) => (await sign()).pem.repeat(2) + ca.pem.repeat(2),
    usable: true,
  },
];

/** Signs with `ca` what a CSR asks for. `uriSans` and `dnsSans` of the CSR, `publicKey` its key; `lifetimeMs` of a good answer. */
export function createSignAnswer(
  ca: TestCertificate,
  asked: { uriSans: readonly string[]; dnsSans?: readonly string[]; publicKey: Buffer; lifetimeMs: number },
): SignAnswer {
  return (change = {}, issuer = ca) =>
    createTestLeaf(issuer, {
      uriSans: asked.uriSans,
      dnsSans: asked.dnsSans ?? [],
      to: asked.lifetimeMs,
      keys: { ...generateEcKey(), publicKey: asked.publicKey },
      ...change,
    });
}
