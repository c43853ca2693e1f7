/** CA certificates of meshes. Pure; the same for Kubernetes and Universal. */
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, ok, skip } from './finding.ts';
import { ageOf, type Life, spanText, type Threshold } from './threshold.ts';

/** One backend of one mesh and the certificates of its CA. */
export interface CaFacts {
  readonly mesh: string;
  readonly backend: string;
  readonly type: string;
  readonly enabled: boolean;
  readonly certificates: Fact<readonly CaCertificate[]>;
}

export interface CaCertificate extends Life {
  /** RFC 4514. */
  readonly subject: string;
}

/** Finding `ca-valid` for one backend. */
export function checkCa(facts: CaFacts, threshold: Threshold, now: number): Finding {
  const subject = `mesh ${facts.mesh}, backend ${facts.backend}`;
  const certificates = factValue(facts.certificates);
  if (certificates === undefined) {
    return skip('ca-valid', `its certificates: ${whyUnknown(facts.certificates)}`, subject);
  }
  const first = certificates.reduce<CaCertificate | undefined>(
    (soonest, one) => (soonest === undefined || one.notAfter < soonest.notAfter ? one : soonest),
    undefined,
  );
  if (first === undefined) return skip('ca-valid', 'it has no certificates', subject);
  const left = first.notAfter - now;
  // What no proxy presents any more can only be forgotten, not break anything.
  const bad = (message: string) =>
    finding('ca-valid', facts.enabled ? 'fail' : 'warn', `CA ${first.subject} ${message}`, {
      subject,
      hint: 'docs/guides/cert-manager.md#rotate-the-ca   # the steps, without a failed request',
    });
  switch (ageOf(first, threshold, now)) {
    case 'expired':
      return bad(`expired ${spanText(left)} ago`);
    case 'early':
      return bad(`is valid only in ${spanText(first.notBefore - now)}`);
    case 'near':
      return bad(`expires in ${spanText(left)}`);
    case 'good':
      return ok('ca-valid', `valid for ${spanText(left)}`, subject);
  }
}
