/** CA backends of meshes and their certificates, as the control plane sees them. Pure; the same for Kubernetes and Universal. */

import { ageOf, type Life, spanText, type Threshold } from '../../lib/expiry-threshold.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, ok, skip } from './finding.ts';

/** The backends of one mesh that lists some. */
export interface BackendFacts {
  readonly mesh: string;
  readonly backends: Fact<readonly BackendReport[]>;
  readonly threshold: Threshold;
  readonly now: number;
}

/** One backend in `status.mtls` of a Mesh, or in the answer of `/meshes/{mesh}/_mtls`: both say the same. */
export interface BackendReport {
  readonly name: string;
  /** It is the one that issues. */
  readonly enabled?: boolean;
  readonly state?: string;
  readonly message?: string;
  /** Something to paste. */
  readonly fix?: string;
  readonly roots?: readonly {
    readonly subject?: string;
    /** RFC 3339. */
    readonly notBefore?: string;
    readonly notAfter?: string;
    /** False: stays only until the last leaf under it is gone. */
    readonly current?: boolean;
  }[];
}

/** Findings `backend-ready` and `ca-valid` of one mesh. */
export function checkBackends(facts: BackendFacts): Finding[] {
  const subject = `mesh ${facts.mesh}`;
  const backends = factValue(facts.backends);
  if (backends === undefined) {
    return [skip('backend-ready', `how its backends are: ${whyUnknown(facts.backends)}`, subject)];
  }
  return backends.flatMap((backend) => [checkState(backend, facts.mesh), ...checkRoots(backend, facts)]);
}

const subjectOf = (mesh: string, { name }: BackendReport) => `mesh ${mesh}, backend ${name}`;

function checkState(backend: BackendReport, mesh: string): Finding {
  const subject = subjectOf(mesh, backend);
  const { state = 'unknown', message = '', fix, enabled } = backend;
  if (state === 'Ready') return ok('backend-ready', 'it issues certificates', subject);
  // A backend that does not issue yet, or no more, is needed for its trust only.
  const outcome = state === 'Failing' && enabled === true ? 'fail' : 'warn';
  return finding('backend-ready', outcome, message || `its state is ${state}`, {
    subject,
    hint: fix ?? `weft inspect mesh ${mesh}   # or: kubectl describe mesh ${mesh}`,
  });
}

function checkRoots(backend: BackendReport, facts: BackendFacts): Finding[] {
  return (backend.roots ?? []).flatMap(({ subject = '-', notBefore, notAfter = '', current }) => {
    // Without a beginning only a threshold that is a time counts.
    const life = { notBefore: notBefore === undefined ? 0 : Date.parse(notBefore), notAfter: Date.parse(notAfter) };
    if (current === false || Number.isNaN(life.notAfter)) return [];
    return [checkRoot({ subject, ...life }, backend, facts)];
  });
}

function checkRoot(root: Life & { readonly subject: string }, backend: BackendReport, facts: BackendFacts): Finding {
  const { mesh, threshold, now } = facts;
  const left = root.notAfter - now;
  const subject = subjectOf(mesh, backend);
  const bad = (what: string) =>
    finding('ca-valid', backend.enabled === true ? 'fail' : 'warn', `CA ${root.subject} ${what}`, {
      subject,
      hint: 'docs/guides/cert-manager.md#rotate-the-ca   # the steps, without a failed request',
    });
  switch (ageOf(root, threshold, now)) {
    case 'expired':
      return bad(`expired ${spanText(left)} ago`);
    case 'early':
      return bad(`is valid only in ${spanText(root.notBefore - now)}`);
    case 'near':
      return bad(`expires in ${spanText(left)}`);
    case 'good':
      return ok('ca-valid', `CA ${root.subject} is valid for ${spanText(left)}`, subject);
  }
}
