import type { Resource } from '../../resources/resource.ts';
import { LABEL_EFFECT } from '../../resources/well-known.ts';
import { type TargetRef, WHOLE_MESH } from './target-ref.ts';

/** What every targetRef policy's spec has. */
export interface PolicySpec {
  readonly targetRef?: TargetRef;
}

/** The proxies a policy is for; absent means the whole mesh. `policy` is of a policy kind. */
export function topTargetRef(policy: Resource): TargetRef {
  // The schema of every policy kind has this field, and only what passed it is stored.
  return (policy.spec as PolicySpec).targetRef ?? WHOLE_MESH;
}

/** A shadow policy takes part in "what if" views only. */
export function isShadow(policy: Resource): boolean {
  return policy.meta.labels[LABEL_EFFECT] === 'shadow';
}
