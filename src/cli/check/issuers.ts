/** The issuers that Meshes refer to. Pure. */
import { approverManifest } from '../../k8s/api/approver-manifest.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, ok, skip } from './finding.ts';
import type { Issuer } from './kube-objects.ts';

/** One `certmanager` backend and what is known of its issuer. */
export interface IssuerFacts {
  readonly mesh: string;
  readonly backend: string;
  readonly enabled: boolean;
  readonly ref: IssuerRef;
  /** Where an `Issuer` has to be. */
  readonly namespace: string;
  readonly issuer: Fact<Issuer>;
  readonly approver: Fact<Approver>;
  /** Only when it was asked for: a throw-away certificate. */
  readonly trial?: Fact<TrialResult>;
}

/** Defaults of cert-manager filled in. */
export interface IssuerRef {
  readonly name: string;
  readonly kind: string;
  readonly group: string;
}

/** Who approves requests, and whether it may for this issuer. */
export interface Approver {
  /** `system:serviceaccount:cert-manager:cert-manager` */
  readonly user: string;
  readonly allowed: boolean;
}

/** `issued`, or how far it came and why not further. */
export interface TrialResult {
  readonly kind: 'issued' | 'not-approved' | 'denied' | 'failed' | 'late';
  readonly message: string;
}

const OWN_GROUP = 'cert-manager.io';

/** Findings of the group `issuers` for one backend. */
export function checkIssuer(facts: IssuerFacts): Finding[] {
  const subject = `mesh ${facts.mesh}, backend ${facts.backend}`;
  const issuer = factValue(facts.issuer);
  if (issuer === undefined) return [checkMissing(facts, subject)];
  return [
    ok('issuer-exists', `${nameOf(facts)} is there`, subject),
    checkReady(facts, issuer, subject),
    checkType(facts, issuer, subject),
    checkApprover(facts, subject),
    ...(facts.trial === undefined ? [] : [checkTrial(facts, facts.trial, subject)]),
  ];
}

/** `Issuer my-ca-issuer in kong-mesh-system`, `ClusterIssuer my-ca`. */
function nameOf({ ref, namespace }: IssuerFacts): string {
  const kind = ref.group === OWN_GROUP ? ref.kind : `${ref.kind}.${ref.group}`;
  return isClusterScoped(ref) ? `${kind} ${ref.name}` : `${kind} ${ref.name} in ${namespace}`;
}

/** Which kinds need no namespace: cert-manager's own, and by the habit of other groups `...ClusterIssuer`. */
function isClusterScoped({ kind }: IssuerRef): boolean {
  return kind.endsWith('ClusterIssuer');
}

function checkMissing(facts: IssuerFacts, subject: string): Finding {
  const { issuer, ref, namespace } = facts;
  if (issuer.state !== 'absent') return skip('issuer-exists', `${nameOf(facts)}: ${whyUnknown(issuer)}`, subject);
  const hint = isClusterScoped(ref)
    ? `kubectl get clusterissuers   # is issuerRef.name of Mesh ${facts.mesh} one of these?`
    : `kubectl get issuers -n ${namespace}   # an Issuer is looked for in this namespace only; elsewhere it has to be a ClusterIssuer`;
  return finding('issuer-exists', 'fail', `there is no ${nameOf(facts)}`, { subject, hint });
}

function checkReady(facts: IssuerFacts, issuer: Issuer, subject: string): Finding {
  const ready = issuer.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status === 'True') return ok('issuer-ready', `${nameOf(facts)} is ready`, subject);
  const { ref, namespace } = facts;
  const scope = isClusterScoped(ref) ? '' : `-n ${namespace} `;
  const said = ready === undefined ? 'nobody has looked at it yet: does cert-manager run?' : (ready.message ?? '');
  return finding('issuer-ready', 'fail', `${nameOf(facts)} is not ready: ${said || ready?.reason}`, {
    subject,
    hint: `kubectl ${scope}describe ${ref.kind.toLowerCase()}.${ref.group} ${ref.name}`,
  });
}

/** Types of cert-manager's own that can't sign leaves of a mesh. */
const UNUSABLE: Readonly<Record<string, string>> = {
  selfSigned: "signs each certificate with that certificate's own key: no two proxies would trust each other",
  acme: 'issues no SPIFFE IDs (an ACME order has DNS names only)',
};

const caManifest = (namespace: string) => `use an issuer that signs with a CA of its own:
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: my-ca-issuer, namespace: ${namespace}}
spec: {ca: {secretName: my-ca}}`;

function checkType(facts: IssuerFacts, issuer: Issuer, subject: string): Finding {
  if (facts.ref.group !== OWN_GROUP) {
    return ok('issuer-type', `an issuer of ${facts.ref.group}: its own controller signs`, subject);
  }
  const type = Object.keys(issuer.spec ?? {})[0] ?? 'unknown';
  const reason = UNUSABLE[type];
  if (reason === undefined) return ok('issuer-type', `type ${type}`, subject);
  return finding('issuer-type', 'fail', `${nameOf(facts)} is of type ${type}, which ${reason}`, {
    subject,
    hint: caManifest(facts.namespace),
  });
}

function checkApprover({ approver, ref, namespace }: IssuerFacts, subject: string): Finding {
  const found = factValue(approver);
  if (found === undefined) return skip('issuer-approval', `who approves: ${whyUnknown(approver)}`, subject);
  if (found.allowed) return ok('issuer-approval', `${found.user} may approve requests`, subject);
  return finding(
    'issuer-approval',
    'fail',
    `${found.user} may not approve requests for this issuer: they would wait for ever`,
    {
      subject,
      hint: `kubectl apply -f - <<'END'\n${approvalManifest(found.user, ref, namespace)}END`,
    },
  );
}

/** The signer names that the verb `approve` is granted on. Source: cert-manager `pkg/util/approval`, docs of CertificateRequest approval. */
export function signerName(ref: IssuerRef, namespace: string): string {
  const plural = `${ref.kind.toLowerCase()}s.${ref.group}`;
  return isClusterScoped(ref) ? `${plural}/${ref.name}` : `${plural}/${namespace}.${ref.name}`;
}

/** ClusterRole and binding that let `user`, a ServiceAccount, approve requests for this issuer. */
function approvalManifest(user: string, ref: IssuerRef, namespace: string): string {
  const [, , accountNamespace = '', account = ''] = user.split(':');
  return approverManifest({
    name: `weft-approve-${ref.name}`,
    signer: signerName(ref, namespace),
    account: { namespace: accountNamespace, name: account },
  });
}

function checkTrial(facts: IssuerFacts, trial: Fact<TrialResult>, subject: string): Finding {
  const result = factValue(trial);
  if (result === undefined) return skip('issuer-trial', `asking for a certificate: ${whyUnknown(trial)}`, subject);
  if (result.kind === 'issued') return ok('issuer-trial', result.message, subject);
  const approver = factValue(facts.approver)?.user ?? 'system:serviceaccount:cert-manager:cert-manager';
  const hint =
    result.kind === 'not-approved'
      ? `kubectl apply -f - <<'END'\n${approvalManifest(approver, facts.ref, facts.namespace)}END`
      : 'kubectl -n cert-manager logs deployment/cert-manager   # what the signer says';
  return finding('issuer-trial', 'fail', `${nameOf(facts)} issued nothing: ${result.message}`, { subject, hint });
}
