/** Who may do what. Pure. */
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, nameSome, ok, skip } from './finding.ts';

/** One question of a SubjectAccessReview. */
export interface Right {
  readonly verb: string;
  /** '' is the core group. */
  readonly group: string;
  /** Plural. */
  readonly resource: string;
  /** Absent: all namespaces, or a cluster-scoped resource. */
  readonly namespace?: string;
  readonly name?: string;
}

export interface RightAnswer extends Right {
  readonly allowed: boolean;
}

export interface RightFacts {
  /** What this check reads. */
  readonly caller: Fact<readonly RightAnswer[]>;
  /** `system:serviceaccount:<namespace>:<name>`. */
  readonly controlPlaneUser: string;
  /** What the control plane can't do without. */
  readonly controlPlane: Fact<readonly RightAnswer[]>;
  /** What it must not be allowed. */
  readonly tooMuch: Fact<readonly RightAnswer[]>;
}

/** Findings of the group `rights`. */
export function checkRights(facts: RightFacts): Finding[] {
  return [checkCaller(facts.caller), checkControlPlane(facts), checkTooMuch(facts)];
}

/** `list pods`, `get, watch secrets in kong-mesh-system`: verbs of one resource together. */
function rightTexts(rights: readonly Right[]): string {
  const verbs = new Map<string, string[]>();
  for (const { verb, group, resource, namespace, name } of rights) {
    const what = `${resource}${group === '' ? '' : `.${group}`}${name === undefined ? '' : `/${name}`}`;
    const where = namespace === undefined ? what : `${what} in ${namespace}`;
    verbs.set(where, [...(verbs.get(where) ?? []), verb]);
  }
  return nameSome(
    [...verbs].map(([where, all]) => `${all.join(', ')} ${where}`),
    3,
  );
}

function checkCaller(caller: Fact<readonly RightAnswer[]>): Finding {
  const answers = factValue(caller);
  if (answers === undefined) return skip('caller-rights', `your rights can't be asked for: ${whyUnknown(caller)}`);
  const missing = answers.filter(({ allowed }) => !allowed);
  if (missing.length === 0) return ok('caller-rights', 'you may read all that is checked');
  return finding('caller-rights', 'warn', `you may not ${rightTexts(missing)}: some checks are skipped`, {
    hint: 'use an administrator, or bind the ClusterRole "view" and add the missing rights',
  });
}

function checkControlPlane({ controlPlane, controlPlaneUser }: RightFacts): Finding {
  const answers = factValue(controlPlane);
  if (answers === undefined) {
    return skip('control-plane-rights', `the rights of ${controlPlaneUser}: ${whyUnknown(controlPlane)}`);
  }
  const missing = answers.filter(({ allowed }) => !allowed);
  if (missing.length === 0) return ok('control-plane-rights', 'the control plane may do what it has to');
  return finding('control-plane-rights', 'fail', `${controlPlaneUser} may not ${rightTexts(missing)}`, {
    hint: 'weft install control-plane | kubectl apply --server-side -f -   # applies its roles and bindings again',
  });
}

function checkTooMuch({ tooMuch, controlPlaneUser }: RightFacts): Finding {
  const answers = factValue(tooMuch);
  if (answers === undefined) {
    return skip('control-plane-secrets', `the rights of ${controlPlaneUser}: ${whyUnknown(tooMuch)}`);
  }
  const granted = answers.filter(({ allowed }) => allowed);
  if (granted.length === 0)
    return ok('control-plane-secrets', 'the control plane may read no Secret outside its namespace');
  return finding(
    'control-plane-secrets',
    'warn',
    `${controlPlaneUser} may ${rightTexts(granted)}: more than it needs`,
    {
      hint: 'kubectl get clusterrolebindings,rolebindings -A -o wide | grep weft-control-plane   # which one is not ours?',
    },
  );
}
