import type { Violation } from '../resources/resource.ts';
import { type CertificateFacts, inspectCertificate, KEY_USAGE } from '../x509/certificate.ts';
import { parseCertificates } from '../x509/chain.ts';
import { type KeyPair, parsePrivateKey } from '../x509/key.ts';

/** A CA certificate chain and the key of its first certificate. */
export interface CaKeyPair {
  readonly certificates: readonly CertificateFacts[];
  readonly keys: KeyPair;
}

/** Reads PEM certificates and key. Throws an `Error` saying why they are no pair; the message holds none of the input. */
export async function readKeyPair(certPem: Buffer, keyPem: Buffer): Promise<CaKeyPair> {
  const ders = parseCertificates(certPem);
  const keys = parsePrivateKey(keyPem);
  const first = await inspectCertificate(ders[0]!);
  if (!first.node.checkPrivateKey(keys.privateKey)) throw new Error('the private key does not match the certificate');
  const rest: CertificateFacts[] = [];
  for (const [index, der] of ders.slice(1).entries()) {
    try {
      rest.push(await inspectCertificate(der));
    } catch (cause) {
      throw new ChainElementError(index + 1, cause);
    }
  }
  return { certificates: [first, ...rest], keys };
}

class ChainElementError extends Error {
  readonly index: number;
  constructor(index: number, cause: unknown) {
    super(`certificate ${index + 1} cannot be read`, { cause });
    this.index = index;
  }
}

/**
 * Every reason why a pair cannot be the CA of a mesh. `path` is the field of the certificate, `mtls.backends[i].conf.cert`.
 * Source: Kuma 2.11 `ValidateCaCert` (X509-SVID 4.1, 4.3, Appendix A); an expired CA is refused here in addition.
 */
export async function caViolations(
  certPem: Buffer,
  keyPem: Buffer,
  path: string,
  now: number,
): Promise<readonly Violation[]> {
  try {
    const { certificates } = await readKeyPair(certPem, keyPem);
    return certificates.flatMap((facts, index) => certificateViolations(facts, `${path}[${index}]`, now));
  } catch (error) {
    if (error instanceof ChainElementError) {
      const reason = error.cause instanceof Error ? error.cause.message : 'cannot be read';
      return [{ field: `${path}[${error.index}]`, message: `not a valid x509 certificate: ${reason}` }];
    }
    const reason = error instanceof Error ? error.message : 'cannot be read';
    return [{ field: path, message: `not a valid TLS key pair: ${reason}` }];
  }
}

function certificateViolations(facts: CertificateFacts, field: string, now: number): readonly Violation[] {
  const usage = facts.keyUsage ?? 0;
  const until = facts.node.validToDate;
  const problems = [
    !facts.isCa && "basic constraint 'CA' must be set to 'true' (see X509-SVID: 4.1. Basic Constraints)",
    (usage & KEY_USAGE.keyCertSign) === 0 &&
      "key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)",
    (usage & KEY_USAGE.keyAgreement) !== 0 &&
      "key usage extension 'keyAgreement' must NOT be set (see X509-SVID: Appendix A. X.509 Field Reference)",
    now >= until.getTime() && `expired at ${until.toISOString()}; provide a CA that is still valid`,
  ];
  return problems.filter((problem) => problem !== false).map((message) => ({ field, message }));
}
