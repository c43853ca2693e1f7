import type { DataplaneInbound, DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import { isBuiltinGateway, isDelegatedGateway } from '../../resources/kinds/dataplane.ts';
import { SERVICE_TAG } from '../../resources/kinds/tags.ts';
import type { Resource, ResourceMeta } from '../../resources/resource.ts';
import {
  displayName,
  LABEL_NAMESPACE,
  LABEL_ORIGIN,
  LABEL_POLICY_ROLE,
  LABEL_ZONE,
} from '../../resources/well-known.ts';
import { topTargetRef } from './policy.ts';
import type { TargetRef } from './target-ref.ts';

/** What of one Dataplane a policy's top-level targetRef selects. */
export interface Selection {
  /** Selected inbounds, as they stand in the Dataplane. */
  readonly inbounds: readonly DataplaneInbound[];
  /** The proxy as a whole is selected although it has no inbound: a delegated gateway. */
  readonly gateway: boolean;
}

const NOTHING: Selection = { inbounds: [], gateway: false };

/**
 * Which inbounds of `dataplane` the policy is for. Both are of one mesh; the caller sees to that.
 * `MeshGateway` and `MeshHTTPRoute` refer to resources that a sidecar is not matched by: they select nothing here.
 * Source: Kuma 2.11 `policies/core/matchers`, 2.14 for `sectionName` naming a port.
 */
export function selectionOf(policy: Resource, dataplane: Resource<DataplaneSpec>): Selection {
  if (!sameZone(policy.meta, dataplane.meta) || !sameNamespace(policy.meta, dataplane.meta)) return NOTHING;
  const ref = topTargetRef(policy);
  switch (ref.kind) {
    case 'Mesh':
      return proxyTypeFits(ref, dataplane.spec) ? byTags(dataplane.spec, {}) : NOTHING;
    case 'MeshSubset':
      return proxyTypeFits(ref, dataplane.spec) ? byTags(dataplane.spec, ref.tags ?? {}) : NOTHING;
    case 'MeshService':
      return byTags(dataplane.spec, { [SERVICE_TAG]: ref.name ?? '' });
    case 'MeshServiceSubset':
      return byTags(dataplane.spec, { ...ref.tags, [SERVICE_TAG]: ref.name ?? '' });
    case 'Dataplane':
      return byDataplane(ref, policy.meta, dataplane);
    case 'MeshGateway':
    case 'MeshHTTPRoute':
    case 'MeshExternalService':
    case 'MeshMultiZoneService':
      return NOTHING;
    default:
      return ref.kind satisfies never;
  }
}

/** True when the policy selects any part of the Dataplane. */
export function selectsDataplane(policy: Resource, dataplane: Resource<DataplaneSpec>): boolean {
  const selection = selectionOf(policy, dataplane);
  return selection.gateway || selection.inbounds.length > 0;
}

/** True when the policy selects this inbound; inbounds are compared by address and port, as listeners are. */
export function selectsInbound(
  policy: Resource,
  dataplane: Resource<DataplaneSpec>,
  inbound: DataplaneInbound,
): boolean {
  return selectionOf(policy, dataplane).inbounds.some(
    (one) => one === inbound || (one.port === inbound.port && one.address === inbound.address),
  );
}

function byTags(spec: DataplaneSpec, wanted: Readonly<Record<string, string>>): Selection {
  const inbounds = (spec.networking?.inbound ?? []).filter((inbound) => tagsMatch(inbound.tags ?? {}, wanted));
  const gateway = isDelegatedGateway(spec) && tagsMatch(spec.networking?.gateway?.tags ?? {}, wanted);
  return { inbounds, gateway };
}

/** Every wanted tag is there with that value; `*` is any value. */
function tagsMatch(tags: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(
    ([key, value]) => Object.hasOwn(tags, key) && (value === '*' || tags[key] === value),
  );
}

function byDataplane(ref: TargetRef, policy: ResourceMeta, dataplane: Resource<DataplaneSpec>): Selection {
  if (isBuiltinGateway(dataplane.spec)) return NOTHING;
  const meta = dataplane.meta;
  const byName = ref.name !== undefined && ref.name !== '';
  const everything = !byName && (ref.namespace ?? '') === '' && ref.labels === undefined;
  const selected =
    everything ||
    (byName && displayName(meta) === ref.name && namespaceFits(ref, policy, meta)) ||
    (ref.labels !== undefined && Object.entries(ref.labels).every(([key, value]) => meta.labels[key] === value));
  if (!selected) return NOTHING;
  const section = ref.sectionName ?? '';
  const inbounds = dataplane.spec.networking?.inbound ?? [];
  return {
    inbounds: section === '' ? inbounds : inbounds.filter((one) => sectionOf(one) === section || one.name === section),
    gateway: false,
  };
}

/** The name by which an inbound is referred to: its own, else its port. */
function sectionOf(inbound: DataplaneInbound): string {
  return inbound.name === undefined || inbound.name === '' ? String(inbound.port) : inbound.name;
}

/** A name refers to the policy's own zone and, unless it says another, namespace. A missing zone label is any zone. */
function namespaceFits(ref: TargetRef, policy: ResourceMeta, dataplane: ResourceMeta): boolean {
  const namespace =
    ref.namespace === undefined || ref.namespace === '' ? (policy.labels[LABEL_NAMESPACE] ?? '') : ref.namespace;
  const zone = policy.labels[LABEL_ZONE];
  const otherZone = dataplane.labels[LABEL_ZONE];
  return (
    namespace === (dataplane.labels[LABEL_NAMESPACE] ?? '') &&
    (zone === undefined || otherZone === undefined || zone === otherZone)
  );
}

function proxyTypeFits(ref: TargetRef, spec: DataplaneSpec): boolean {
  const types = ref.proxyTypes ?? [];
  return types.length === 0 || types.includes(spec.networking?.gateway === undefined ? 'Sidecar' : 'Gateway');
}

/** A policy made in a zone is for that zone's proxies only, unless it is a producer's: that one is for the clients, wherever they are. */
function sameZone(policy: ResourceMeta, dataplane: ResourceMeta): boolean {
  if (policy.labels[LABEL_POLICY_ROLE] === 'producer') return true;
  if (policy.labels[LABEL_ORIGIN] !== 'zone' || dataplane.labels[LABEL_ORIGIN] !== 'zone') return true;
  const zone = policy.labels[LABEL_ZONE];
  const otherZone = dataplane.labels[LABEL_ZONE];
  return zone === undefined || otherZone === undefined || zone === otherZone;
}

/** Policies of a workload's namespace (Kubernetes) stay in it. */
function sameNamespace(policy: ResourceMeta, dataplane: ResourceMeta): boolean {
  const role = policy.labels[LABEL_POLICY_ROLE];
  if (role !== 'consumer' && role !== 'workload-owner') return true;
  const namespace = policy.labels[LABEL_NAMESPACE];
  return namespace !== undefined && namespace === dataplane.labels[LABEL_NAMESPACE];
}
