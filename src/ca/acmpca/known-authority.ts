import { parseCertificates } from '../../x509/chain.ts';
import { type BackendConfig, type CaDependencies, CaError, type TrustAnchors } from '../backend.ts';
import { loadCaCert } from '../ca-certificate.ts';
import type { AcmPcaApi } from './api.ts';
import { anchorsFor, joinPem, type SigningAlgorithm, signingAlgorithmFor } from './authority.ts';
import type { AcmPcaConf } from './conf.ts';
import { callProblem, type Subject, statusProblem, unusableKey, wrongBundle } from './problem.ts';

/** A CA that signs, and how. */
export interface KnownAuthority {
  readonly anchors: TrustAnchors;
  readonly signingAlgorithm: SigningAlgorithm;
  readonly shortLived: boolean;
  /** DER. */
  readonly certificate: Buffer;
}

/** Asks AWS what the CA is. Throws `CaError` when it does not sign, or when what it signs would not be trusted: nothing has been paid for then. */
export async function lookAtAuthority(options: {
  api: AcmPcaApi;
  conf: AcmPcaConf;
  subject: Subject;
  config: BackendConfig;
  deps: CaDependencies;
  signal: AbortSignal;
}): Promise<KnownAuthority> {
  const { api, conf, subject, signal } = options;
  const ask = async <T>(doing: string, call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      throw callProblem(subject, error, doing);
    }
  };
  const description = await ask('look at the CA', api.describe(signal));
  if (description.status !== 'ACTIVE') throw statusProblem(subject, description.status);
  const signingAlgorithm = conf.signingAlgorithm ?? signingAlgorithmFor(description);
  if (signingAlgorithm === undefined) throw unusableKey(subject, description.keyAlgorithm);
  const ca = await ask('fetch the certificate of the CA', api.authorityCertificate(signal));
  const given = await loadGiven(options);
  const anchors = await ask('read the certificate of the CA', readAnchors(ca, given));
  if (anchors === undefined) throw wrongBundle(subject);
  return {
    anchors,
    signingAlgorithm,
    shortLived: description.usageMode === 'SHORT_LIVED_CERTIFICATE',
    certificate: parseCertificates(joinPem(ca))[0]!,
  };
}

async function readAnchors(ca: Parameters<typeof anchorsFor>[0], given: string | undefined) {
  try {
    return anchorsFor(ca, given);
  } catch (cause) {
    throw new CaError('invalid-answer', 'it cannot be read', { cause });
  }
}

async function loadGiven({ conf, subject, config, deps }: Parameters<typeof lookAtAuthority>[0]) {
  if (conf.caCert === undefined) return undefined;
  try {
    return (await loadCaCert(config, conf.caCert, deps)).pem;
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'cannot be read';
    const where = `backend "${subject.backend}" of mesh ${subject.mesh}: conf.caCert`;
    throw new CaError('not-configured', `${where} ${reason}`, {
      reason: 'CaCertificateInvalid',
      field: 'caCert',
      cause: error,
    });
  }
}
