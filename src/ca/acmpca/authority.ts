import type { X509Certificate } from 'node:crypto';
import { readNode } from '../../x509/certificate.ts';
import { formatCertificates, parseCertificates, pathUpward } from '../../x509/chain.ts';
import { CHAIN_LIMITS } from '../../x509/verify.ts';
import type { TrustAnchors } from '../backend.ts';

/** Signatures of leaves that Envoy can check. Source: AWS Private CA API, IssueCertificate `SigningAlgorithm`. */
export const SIGNING_ALGORITHMS = [
  'SHA256WITHRSA',
  'SHA384WITHRSA',
  'SHA512WITHRSA',
  'SHA256WITHECDSA',
  'SHA384WITHECDSA',
  'SHA512WITHECDSA',
] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** DescribeCertificateAuthority, as far as it is used. */
export interface AuthorityDescription {
  /** `ACTIVE`, or why it does not sign. */
  readonly status: string;
  /** `RSA_2048`, `EC_prime256v1` ... */
  readonly keyAlgorithm: string;
  /** How the CA's own request was signed. */
  readonly signingAlgorithm: string;
  /** `GENERAL_PURPOSE` or `SHORT_LIVED_CERTIFICATE`. */
  readonly usageMode: string;
}

/** A certificate and what leads from it upwards, PEM; `chain` '' where there is nothing. */
export interface IssuedPem {
  readonly certificate: string;
  readonly chain: string;
}

/** The certificate, then its chain. AWS ends neither with a line break. */
export function joinPem({ certificate, chain }: IssuedPem): string {
  return `${certificate}\n${chain}`;
}

/**
 * How a CA with that key signs leaves: it has to be of the key's family, whatever the key of the leaf. What the CA itself was made with is taken where it
 * fits. `undefined`: with such a key none that Envoy can check.
 */
export function signingAlgorithmFor({
  keyAlgorithm,
  signingAlgorithm,
}: Pick<AuthorityDescription, 'keyAlgorithm' | 'signingAlgorithm'>): SigningAlgorithm | undefined {
  const usual = USUAL[keyAlgorithm];
  const own = SIGNING_ALGORITHMS.find((one) => one === signingAlgorithm);
  return own !== undefined && usual !== undefined && familyOf(own) === familyOf(usual) ? own : usual;
}

const USUAL: Readonly<Record<string, SigningAlgorithm>> = {
  RSA_2048: 'SHA256WITHRSA',
  RSA_3072: 'SHA256WITHRSA',
  RSA_4096: 'SHA256WITHRSA',
  EC_prime256v1: 'SHA256WITHECDSA',
  EC_secp384r1: 'SHA384WITHECDSA',
  EC_secp521r1: 'SHA512WITHECDSA',
};

function familyOf(algorithm: SigningAlgorithm): string {
  return algorithm.split('WITH')[1]!;
}

/**
 * What to trust for leaves of this CA, and until when it signs: `given` (PEM) where there is one, else the top of the CA's own chain. `undefined`: nothing
 * of `given` is above the CA, so that no leaf would be trusted. Throws `X509Error` when `ca` cannot be read.
 */
export function anchorsFor(ca: IssuedPem, given: string | undefined): TrustAnchors | undefined {
  const [own, ...above] = parseCertificates(joinPem(ca), CHAIN_LIMITS).map(readNode) as [
    X509Certificate,
    ...X509Certificate[],
  ];
  const trusted = given === undefined ? undefined : parseCertificates(given).map(readNode);
  const path = pathUpward(own, [...above, ...(trusted ?? [])]);
  const isTrusted = (one: X509Certificate) => trusted?.some(({ raw }) => raw.equals(one.raw)) ?? one === path.at(-1);
  const top = path.findIndex(isTrusted);
  if (top === -1) return undefined;
  const notAfter = Math.min(...path.slice(0, top + 1).map(({ validToDate }) => validToDate.getTime()));
  return { pem: given ?? formatCertificates([path[top]!.raw]), notAfter };
}
