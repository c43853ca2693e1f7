import type { OwnerReference } from '../../k8s/api/object.ts';
import type { Resource, ResourceKey } from '../../resources/resource.ts';
import { LABEL_DISPLAY_NAME, LABEL_NAMESPACE } from '../../resources/well-known.ts';
import type { Entry } from './collection.ts';

/** Records about one Dataplane: they live beside it and end with it. */
const BESIDE_DATAPLANE = new Set(['DataplaneInsight', 'SealedLeaf', 'PendingLeaf']);

/** What garbage collection ends a resource with; `undefined`: nothing. A Dataplane's record has no other owner: without its Dataplane it has none. */
function ownerKeyOf({ type, meta }: Resource): ResourceKey | undefined {
  if (BESIDE_DATAPLANE.has(type)) return { type: 'Dataplane', mesh: meta.mesh, name: meta.name };
  if (type === 'MeshInsight') return { type: 'Mesh', mesh: '', name: meta.name };
  return meta.mesh === '' ? undefined : { type: 'Mesh', mesh: '', name: meta.mesh };
}

/**
 * Where a resource goes when it is created, and who owns it. Cluster-scoped kinds may own everything, namespaced ones only what is in their namespace
 * (Kubernetes, "Owners and Dependents"): so what belongs to a Dataplane is put into its namespace, under its name.
 */
export function placeWithOwner(
  resource: Resource,
  find: (key: ResourceKey) => Entry | undefined,
  systemNamespace: string,
): { readonly resource: Resource; readonly owner: OwnerReference | undefined } {
  const key = ownerKeyOf(resource);
  const owner = key === undefined ? undefined : find(key);
  if (owner === undefined) return { resource, owner: undefined };
  const { namespace, name, uid } = owner;
  const reference = { apiVersion: 'kuma.io/v1alpha1', kind: owner.key.type, name, uid };
  if (namespace === '' || namespace === systemNamespace) return { resource, owner: reference };
  const labels = { ...resource.meta.labels, [LABEL_NAMESPACE]: namespace, [LABEL_DISPLAY_NAME]: name };
  return { resource: { ...resource, meta: { ...resource.meta, labels } }, owner: reference };
}
