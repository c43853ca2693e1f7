import type { Resource, ResourceMeta } from '../../resources/resource.ts';
import { displayName, LABEL_ORIGIN, LABEL_POLICY_ROLE } from '../../resources/well-known.ts';
import { topTargetRef } from './policy.ts';
import type { TargetRef, TargetRefKind } from './target-ref.ts';

/** The more exactly a kind says who is meant, the stronger it is. */
const KINDS: readonly TargetRefKind[] = [
  'Mesh',
  'Dataplane',
  'MeshSubset',
  'MeshGateway',
  'MeshService',
  'MeshExternalService',
  'MeshMultiZoneService',
  'MeshServiceSubset',
  'MeshHTTPRoute',
];
const ORIGINS = ['', 'global', 'zone'];
const ROLES = ['system', 'producer', 'consumer', 'workload-owner'];

/**
 * Precedence of two policies of one kind: negative when `a` is weaker. Sorted ascending, the later one wins.
 * Source: section 8 of the compatibility reference (Kuma 2.11 `matchers.SortByTargetRef`).
 */
export function comparePolicies(a: Resource, b: Resource): number {
  const left = topTargetRef(a);
  const right = topTargetRef(b);
  return (
    KINDS.indexOf(left.kind) - KINDS.indexOf(right.kind) ||
    dataplaneRank(left) - dataplaneRank(right) ||
    originRank(a.meta) - originRank(b.meta) ||
    listenerTags(left) - listenerTags(right) ||
    roleRank(a.meta) - roleRank(b.meta) ||
    // The lexicographically smaller name wins, so it comes last.
    compareText(displayName(b.meta), displayName(a.meta)) ||
    compareText(b.meta.name, a.meta.name)
  );
}

/** Policies in ascending precedence; a new list. */
export function sortPolicies<T extends Resource>(policies: readonly T[]): readonly T[] {
  return [...policies].sort(comparePolicies);
}

/** labels (or all) < name; within each, without sectionName < with. */
function dataplaneRank(ref: TargetRef): number {
  if (ref.kind !== 'Dataplane') return 0;
  return ((ref.name ?? '') === '' ? 0 : 2) + ((ref.sectionName ?? '') === '' ? 0 : 1);
}

function originRank(meta: ResourceMeta): number {
  return Math.max(0, ORIGINS.indexOf(meta.labels[LABEL_ORIGIN] ?? ''));
}

function listenerTags(ref: TargetRef): number {
  return ref.kind === 'MeshGateway' ? Object.keys(ref.tags ?? {}).length : 0;
}

function roleRank(meta: ResourceMeta): number {
  return Math.max(0, ROLES.indexOf(meta.labels[LABEL_POLICY_ROLE] ?? 'system'));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
