import type { HeldLeaf, TrustBundle } from '../identity/identity.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';
import type { EncodedResource, ResourceSet } from '../xds-server/xds.ts';

/** What the proxy said of itself in the xDS node metadata (put there by the bootstrap). */
export interface ProxyMetadata {
  /** 0: no admin API. */
  readonly adminPort: number;
  /** Loopback address of Envoy's admin API; '' means 127.0.0.1. A path starting with `/` is a unix socket made by `weft dp run`. */
  readonly adminAddress: string;
  /** 0: none. */
  readonly readinessPort: number;
  readonly features: readonly string[];
  readonly workdir: string;
  readonly ipv6Enabled: boolean;
}

/** Server side of the Envoy admin listener: only a client with a certificate of this CA gets in. */
export interface AdminTls {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export interface ProxyInput {
  readonly dataplane: Resource<DataplaneSpec>;
  readonly metadata: ProxyMetadata;
}

export interface Generated {
  /** Clusters, endpoints, listeners, routes. No secrets: they are added per proxy by `identitySecret` and `trustBundleSecret`. */
  readonly resources: ResourceSet;
  /** `kuma.io/service` values whose endpoints are in it; a change of another service can't change the result. `all`: pass-through of everything (transparent proxy without reachable services). */
  readonly services: ReadonlySet<string> | 'all';
}

/**
 * Shares encoded resources between proxies and between runs: same inputs (by identity), same object out.
 * One per control plane; bounded by what the current snapshots hold (WeakMaps), so it needs no sweeping.
 */
export interface GenerationCache {
  readonly adminTls: AdminTls | undefined;
}

export type GenerateSidecar = (proxy: ProxyInput, snapshot: MeshSnapshot, cache: GenerationCache, options?: { shadow?: boolean }) => Generated;
export type IdentitySecret = (mesh: string, leaf: HeldLeaf) => EncodedResource;
export type TrustBundleSecret = (bundle: TrustBundle) => EncodedResource;
