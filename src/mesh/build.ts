/**
 * Builds a `MeshSnapshot` out of the former one and a batch of changes. Everything that did not change keeps its identity, down to the single
 * endpoint; what does not reach Envoy (versions, times) changes nothing at all. The cost of a batch is one copy of the maps it touches, plus
 * the services of the Dataplanes in it.
 */
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource, ResourceKey } from '../resources/resource.ts';
import { endpointsOf, replaceEndpoints } from './endpoints.ts';
import { commonProtocol, parseProtocol } from './protocol.ts';
import { sameJson } from './same.ts';
import type { Endpoint, MeshSnapshot, ServiceView } from './snapshot.ts';
import { newVips, type ServiceVips } from './vips.ts';

/** One change of the store, as in `store/store.ts`. */
export type SnapshotChange =
  | { readonly op: 'upsert'; readonly resource: Resource }
  | { readonly op: 'delete'; readonly key: ResourceKey }
  | { readonly op: 'synced' };

export interface SnapshotUpdate {
  /** The former snapshot itself when nothing changed. */
  readonly snapshot: MeshSnapshot;
  /** Services whose `ServiceView` or vip is new or gone. */
  readonly changedServices: ReadonlySet<string>;
  /** The Mesh appeared, went, or has another spec or labels. */
  readonly meshChanged: boolean;
  readonly policiesChanged: boolean;
}

/** Vips for the services of the mesh, and the services whose vip is another one than at the last call. */
export interface VipChanges {
  readonly source: Pick<ServiceVips, 'of'>;
  readonly changed: ReadonlySet<string>;
}

const EMPTY_MAP: ReadonlyMap<string, never> = new Map<string, never>();

/**
 * `changes` are of this mesh, in order; of several changes of one resource the last one counts. Kinds other than Mesh and Dataplane are taken
 * as policies. A resource in the snapshot may have an older `version` and `modificationTime` than the stored one: a write that changes neither
 * spec nor labels leaves it as it is.
 */
export function buildSnapshot(
  previous: MeshSnapshot | undefined,
  name: string,
  changes: readonly SnapshotChange[],
  vipChanges?: VipChanges,
): SnapshotUpdate {
  const base: MeshSnapshot = previous ?? {
    name,
    mesh: undefined,
    dataplanes: EMPTY_MAP,
    services: EMPTY_MAP,
    vips: EMPTY_MAP,
    policies: EMPTY_MAP,
  };
  const last = lastChanges(changes);
  const mesh = newMesh(base.mesh, last.get('Mesh')?.get(name), last.get('Mesh')?.has(name) ?? false);
  const { dataplanes, touched } = newDataplanes(base.dataplanes, last.get('Dataplane') ?? EMPTY_MAP);
  const { services, changedServices } = newServices(base, dataplanes, touched);
  const { vips, changed: changedVips } =
    vipChanges === undefined
      ? { vips: base.vips, changed: [] }
      : newVips(base.vips, services, [...changedServices, ...vipChanges.changed], vipChanges.source);
  const policies = newPolicies(base.policies, last);
  const unchanged =
    previous !== undefined &&
    mesh === base.mesh &&
    dataplanes === base.dataplanes &&
    services === base.services &&
    vips === base.vips &&
    policies === base.policies;
  return {
    snapshot: unchanged ? previous : { name, mesh, dataplanes, services, vips, policies },
    changedServices: new Set([...changedServices, ...changedVips]),
    meshChanged: mesh !== base.mesh,
    policiesChanged: policies !== base.policies,
  };
}

/** Kind to name to what it is now (`undefined`: deleted). */
type LastChanges = ReadonlyMap<string, ReadonlyMap<string, Resource | undefined>>;

function lastChanges(changes: readonly SnapshotChange[]): LastChanges {
  const last = new Map<string, Map<string, Resource | undefined>>();
  for (const change of changes) {
    if (change.op === 'synced') continue;
    const type = change.op === 'delete' ? change.key.type : change.resource.type;
    let byName = last.get(type);
    if (byName === undefined) {
      byName = new Map();
      last.set(type, byName);
    }
    if (change.op === 'delete') byName.set(change.key.name, undefined);
    else byName.set(change.resource.meta.name, change.resource);
  }
  return last;
}

/** `after`, or `before` where the difference does not reach Envoy; the spec keeps its identity when only labels differ. */
function keepSame(before: Resource | undefined, after: Resource): Resource {
  if (before === undefined || !sameJson(before.spec, after.spec)) return after;
  if (sameJson(before.meta.labels, after.meta.labels)) return before;
  return { ...after, spec: before.spec };
}

function newMesh(
  before: Resource<MeshSpec> | undefined,
  after: Resource | undefined,
  touched: boolean,
): Resource<MeshSpec> | undefined {
  if (!touched) return before;
  // The store keeps only specs that passed the kind's schema.
  return after === undefined ? undefined : (keepSame(before, after) as Resource<MeshSpec>);
}

interface DataplaneUpdate {
  readonly dataplanes: MeshSnapshot['dataplanes'];
  /** Names of those whose spec is another one, or that came or went. */
  readonly touched: ReadonlySet<string>;
}

function newDataplanes(
  before: MeshSnapshot['dataplanes'],
  changes: ReadonlyMap<string, Resource | undefined>,
): DataplaneUpdate {
  let dataplanes: Map<string, Resource<DataplaneSpec>> | undefined;
  const touched = new Set<string>();
  for (const [name, after] of changes) {
    const old = before.get(name);
    // As above: the spec passed its schema.
    const kept = after === undefined ? undefined : (keepSame(old, after) as Resource<DataplaneSpec>);
    if (kept === old) continue;
    dataplanes ??= new Map(before);
    if (kept === undefined) dataplanes.delete(name);
    else dataplanes.set(name, kept);
    if (kept?.spec !== old?.spec) touched.add(name);
  }
  return { dataplanes: dataplanes ?? before, touched };
}

function newServices(
  base: MeshSnapshot,
  dataplanes: MeshSnapshot['dataplanes'],
  touched: ReadonlySet<string>,
): { services: MeshSnapshot['services']; changedServices: ReadonlySet<string> } {
  const current = new Map<string, Endpoint[]>();
  for (const name of touched) {
    for (const service of endpointsOf(base.dataplanes.get(name)).keys()) {
      if (!current.has(service)) current.set(service, []);
    }
    for (const [service, endpoints] of endpointsOf(dataplanes.get(name))) {
      const list = current.get(service);
      if (list) list.push(...endpoints);
      else current.set(service, [...endpoints]);
    }
  }
  let services: Map<string, ServiceView> | undefined;
  const changedServices = new Set<string>();
  for (const [name, now] of current) {
    const old = base.services.get(name);
    const endpoints = replaceEndpoints(old?.endpoints ?? [], touched, now);
    if (endpoints === old?.endpoints || (old === undefined && endpoints.length === 0)) continue;
    changedServices.add(name);
    services ??= new Map(base.services);
    if (endpoints.length === 0) services.delete(name);
    else services.set(name, { name, protocol: protocolOf(endpoints), endpoints });
  }
  return { services: services ?? base.services, changedServices };
}

function protocolOf(endpoints: readonly Endpoint[]): ServiceView['protocol'] {
  return commonProtocol(endpoints.map((endpoint) => parseProtocol(endpoint.tags['kuma.io/protocol'])));
}

function newPolicies(before: MeshSnapshot['policies'], last: LastChanges): MeshSnapshot['policies'] {
  let policies: Map<string, readonly Resource[]> | undefined;
  for (const [type, changes] of last) {
    if (type === 'Mesh' || type === 'Dataplane') continue;
    const old = before.get(type) ?? [];
    const list = newPolicyList(old, changes);
    if (list === old) continue;
    policies ??= new Map(before);
    if (list.length === 0) policies.delete(type);
    else policies.set(type, list);
  }
  return policies ?? before;
}

function newPolicyList(
  old: readonly Resource[],
  changes: ReadonlyMap<string, Resource | undefined>,
): readonly Resource[] {
  const byName = new Map(old.map((policy) => [policy.meta.name, policy]));
  let changed = false;
  for (const [name, after] of changes) {
    const before = byName.get(name);
    const kept = after === undefined ? undefined : keepSame(before, after);
    if (kept === before) continue;
    changed = true;
    if (kept === undefined) byName.delete(name);
    else byName.set(name, kept);
  }
  if (!changed) return old;
  return [...byName.values()].sort((a, b) => (a.meta.name < b.meta.name ? -1 : 1));
}
