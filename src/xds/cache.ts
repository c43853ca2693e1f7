import { DEFAULT_INTERNAL_CIDRS } from '../envoy/address.ts';
import type { FilterInit } from '../envoy/filters.ts';
import type { IdentitySource, TransportSocketInit } from '../envoy/tls.ts';
import type { Endpoint, MeshSnapshot, ServiceView } from '../mesh/snapshot.ts';
import type { InboundPermissions } from '../policies/mesh-traffic-permission/rules.ts';
import type { DataplaneInbound, DataplaneOutbound, DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { EncodedResource } from '../xds-server/xds.ts';
import type { AdminTls, Generated, GenerationCache, ProxyMetadata } from './generate.ts';
import { createInternPool, createRecentMap, type InternPool, type RecentMap } from './intern-pool.ts';
import type { MeshFeatures } from './mesh-features.ts';
import type { Layers } from './resource-set.ts';
import type { VipMemo } from './sidecar/vip-outbounds.ts';

/**
 * What generation remembers. Everything here can be lost without changing a result: it only saves time and makes equal things one object.
 * Keys are parts of snapshots, by identity; the two kinds of text-keyed maps are bounded by use (`InternPool`) or size (`RecentMap`).
 */
export interface GenerationMemos {
  readonly features: WeakMap<Resource<MeshSpec>, Readonly<Record<IdentitySource, MeshFeatures>>>;
  /** Whole resources that depend on nothing but what their key says. */
  readonly resources: InternPool<EncodedResource>;
  /** Resources made from one endpoint list. */
  readonly ofEndpoints: WeakMap<readonly Endpoint[], Map<string, EncodedResource>>;
  /** Permissions by the list of all policies, then by which of them were selected. */
  readonly permissions: WeakMap<readonly Resource[], Map<string, InboundPermissions>>;
  readonly noPolicies: readonly Resource[];
  /** RBAC filters of a set of permissions, encoded. */
  readonly rbac: WeakMap<InboundPermissions, Map<string, Uint8Array>>;
  /** Filter chains under a set of permissions, encoded. */
  readonly guardedChains: WeakMap<InboundPermissions, RecentMap<Uint8Array>>;
  /** Filter chains without permissions, encoded. */
  readonly openChains: RecentMap<Uint8Array>;
  readonly filters: RecentMap<FilterInit>;
  readonly sockets: RecentMap<TransportSocketInit>;
  readonly inbounds: WeakMap<DataplaneInbound, InboundMemo>;
  readonly outbounds: WeakMap<DataplaneOutbound, OutboundTraits>;
  /** The last outbounds of services by their addresses, by mesh and reach. */
  readonly vips: RecentMap<VipMemo>;
  readonly layers: Layers;
  /** The last result of each connected proxy. */
  readonly proxies: WeakMap<ProxyMetadata, ProxyMemo>;
}

/** Last result for one inbound. */
export interface InboundMemo {
  /** What cluster and `ownPart` depend on. */
  readonly key: string;
  /** What the chains depend on, besides `permissions`. */
  readonly chainsKey: string;
  readonly permissions: InboundPermissions | undefined;
  readonly cluster: EncodedResource;
  readonly listener: EncodedResource;
  /** The listener without its chains; see `encodeListener`. */
  readonly ownPart: Uint8Array;
}

/** What an outbound's text says, read once. */
export interface OutboundTraits {
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly tags: Readonly<Record<string, string>>;
  /** Tags beside the service: they narrow the endpoints down. */
  readonly subset: readonly (readonly [string, string])[];
  readonly clusterName: string;
  readonly tagsKey: string;
}

/** Everything a result was made from, to see that nothing changed. */
export interface ProxyMemo {
  readonly mesh: string;
  readonly name: string;
  readonly spec: DataplaneSpec;
  readonly labels: Readonly<Record<string, string>>;
  readonly features: MeshFeatures;
  readonly policies: readonly Resource[];
  readonly views: ReadonlyMap<string, ServiceView | undefined>;
  readonly inPlainText: string;
  /** What a proxy that reaches all services depends on. */
  readonly services: MeshSnapshot['services'];
  readonly vips: MeshSnapshot['vips'];
  readonly generated: Generated;
}

export interface GenerationCacheOptions {
  /** `undefined`: the admin listener answers `/ready` only. */
  readonly adminTls: AdminTls | undefined;
  /** Zone of this control plane, preferred when the Mesh asks for locality-aware load balancing. */
  readonly zone?: string;
  /** Clients whose HTTP requests count as internal; Kuma's defaults when absent. */
  readonly internalCidrs?: readonly string[];
}

/** Stands in for the real thing in configurations that people see: Kuma's `_config` masks secrets with these words. */
export const MASKED_ADMIN_TLS: AdminTls = { caPem: 'CA', certPem: 'CERT', keyPem: 'KEY' };

const CHAINS = 4096;
const REACHES = 1024;

/** One per control plane, and one more with `MASKED_ADMIN_TLS` for configurations that are shown. */
export function createGenerationCache(options: GenerationCacheOptions): GenerationCache {
  return {
    adminTls: options.adminTls,
    zone: options.zone,
    internalCidrs: options.internalCidrs ?? DEFAULT_INTERNAL_CIDRS,
    memos: {
      features: new WeakMap(),
      resources: createInternPool(),
      ofEndpoints: new WeakMap(),
      permissions: new WeakMap(),
      noPolicies: [],
      rbac: new WeakMap(),
      guardedChains: new WeakMap(),
      openChains: createRecentMap(CHAINS),
      filters: createRecentMap(CHAINS),
      sockets: createRecentMap(CHAINS),
      inbounds: new WeakMap(),
      outbounds: new WeakMap(),
      vips: createRecentMap(REACHES),
      layers: new WeakMap(),
      proxies: new WeakMap(),
    },
  };
}

/** The value of `key` in the map that belongs to `owner`, made when it is not there. */
export function memoOf<Owner extends object, Value>(
  maps: WeakMap<Owner, Map<string, Value>>,
  owner: Owner,
  key: string,
  make: () => Value,
): Value {
  let map = maps.get(owner);
  if (map === undefined) {
    map = new Map();
    maps.set(owner, map);
  }
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
