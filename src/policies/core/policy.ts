import type { Resource } from '../../resources/resource.ts';
import { LABEL_EFFECT } from '../../resources/well-known.ts';
import { type TargetRef, WHOLE_MESH } from './target-ref.ts';

/** What every targetRef policy's spec has. */
export interface PolicySpec {
  readonly targetRef?: TargetRef;
}

/** The proxies a policy is for; absent means the whole mesh. */
export function topTargetRef(policy: Resource<PolicySpec>): TargetRef {
  return policy.spec.targetRef ?? WHOLE_MESH;
}

/** A shadow policy takes part in "what if" views only. */
export function isShadow(policy: Resource): boolean {
  return policy.meta.labels[LABEL_EFFECT] === 'shadow';
}
