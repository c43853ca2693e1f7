import type { KeyObject } from 'node:crypto';
import type { CertificateFacts } from '../x509/certificate.ts';
import { formatCertificates, pathUpward } from '../x509/chain.ts';
import { createCrl } from '../x509/crl.ts';
import { X509Error } from '../x509/error.ts';
import { createLeafTemplate, randomSerial } from '../x509/leaf.ts';
import { spiffeIdProblem } from '../x509/spiffe-id.ts';
import { CaError, type Chain, type Crl, type CrlOrder, type SigningRequest, type TrustAnchors } from './backend.ts';

/** Signing for the backends whose CA key is in this process: `builtin` and `provided`. */
export interface LocalSigner {
  readonly anchors: TrustAnchors;
  /** `earliest`: the time that it may be as well, when the clock of this machine was set; the leaf is valid from then on. */
  sign(request: SigningRequest, now: number, earliest?: number): Chain;
  /** Of this CA and the other one. Throws `CaError`. */
  crls(order: CrlOrder): Promise<readonly Crl[]>;
}

/** How far a leaf starts in the past, for proxies whose clock is behind. Source: Kuma 2.11 `DefaultAllowedClockSkew`. */
export const CLOCK_SKEW_MS = 10_000;

/** A CA ready to sign: its certificates (the first one signs, all are trusted) and its key. */
export interface LocalCa {
  readonly mesh: string;
  /** Backend name, for messages. */
  readonly name: string;
  /** At least one; the first belongs to `key`. */
  readonly certificates: readonly CertificateFacts[];
  readonly key: KeyObject;
  /** The CA before or after this one, which is trusted too and signs no leaf now. */
  readonly other?: Pick<LocalCa, 'certificates' | 'key'> | undefined;
}

export function createLocalSigner(ca: LocalCa): LocalSigner {
  const signer = ca.certificates[0]!;
  const template = createLeafTemplate({ subject: signer.subject, keyId: signer.keyId, key: ca.key });
  const path = pathUpward(
    signer.node,
    ca.certificates.map(({ node }) => node),
  );
  const notAfter = Math.min(...path.map(({ validToDate }) => validToDate.getTime()));
  const issuingPem = formatCertificates(ca.certificates.map(({ der }) => der));
  const intermediates = formatCertificates(path.filter((node) => !node.checkIssued(node)).map(({ raw }) => raw));

  function refuse(code: 'invalid-request' | 'not-configured', reason: string): never {
    throw new CaError(code, `sign a leaf with backend "${ca.name}" of mesh "${ca.mesh}": ${reason}`);
  }

  return {
    anchors: {
      pem: issuingPem + formatCertificates((ca.other?.certificates ?? []).map(({ der }) => der)),
      issuingPem,
      notAfter,
    },
    sign(request, now, earliest = now) {
      const problem = requestProblem(request, ca.mesh);
      if (problem) refuse('invalid-request', problem);
      if (now >= notAfter) {
        refuse('not-configured', `the CA expired at ${new Date(notAfter).toISOString()}; replace it`);
      }
      const begin = signer.node.validFromDate.getTime();
      if (now < begin) {
        refuse('not-configured', `the CA is valid only from ${signer.node.validFromDate.toISOString()}`);
      }
      const leaf = template.sign(
        {
          serial: randomSerial(),
          notBefore: (earliest < now ? Math.max(earliest, begin) : now) - CLOCK_SKEW_MS,
          notAfter: Math.min(now + request.lifetimeMs, notAfter),
          publicKey: request.publicKey,
          uriSans: request.uriSans,
        },
        ca.key,
      );
      return { pem: formatCertificates([leaf]) + intermediates };
    },
    crls: (order) => Promise.all([ca, ...(ca.other ? [ca.other] : [])].map((one) => crlOf(one, order))),
  };
}

/**
 * A CRL is pushed to the proxies when it changes and replaced by the next push, so it need not run out: one that did, while no control plane is there to
 * push another, would refuse every leaf, and so would one that a proxy's clock has not reached. It is good as long as its CA is.
 */
async function crlOf({ certificates, key }: Pick<LocalCa, 'certificates' | 'key'>, order: CrlOrder): Promise<Crl> {
  const issuer = certificates[0]!;
  const { validFromDate, validToDate } = issuer.node;
  try {
    const life = { thisUpdate: validFromDate.getTime(), nextUpdate: validToDate.getTime() };
    return { pem: await createCrl({ ...order, issuer, key, ...life }), issuerPem: formatCertificates([issuer.der]) };
  } catch (error) {
    if (error instanceof X509Error && error.code === 'no-crl-sign') throw new CaError('not-configured', error.message);
    throw error;
  }
}

const KUMA_URI = /^kuma:\/\/[A-Za-z0-9._:/-]+$/;

/** A CA of a mesh speaks for that mesh only, whatever it is asked. */
function requestProblem({ uriSans, lifetimeMs }: SigningRequest, mesh: string): string | undefined {
  if (!uriSans.some((uri) => uri.startsWith('spiffe://'))) return 'no SPIFFE id is asked for';
  for (const uri of uriSans) {
    if (KUMA_URI.test(uri)) continue;
    const problem = spiffeIdProblem(uri);
    if (problem) return `${JSON.stringify(uri.slice(0, 200))} is no SPIFFE id: ${problem}`;
    if (!uri.startsWith(`spiffe://${mesh}/`)) return `${uri} is not in the trust domain ${mesh}`;
  }
  return lifetimeMs > 0 ? undefined : 'the lifetime has to be over zero';
}
