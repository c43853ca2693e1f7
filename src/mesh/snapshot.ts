import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { ServiceVip } from './vips.ts';

export type Protocol = 'tcp' | 'http' | 'http2' | 'grpc' | 'kafka';

/** One place a service answers at: one inbound of one Dataplane. */
export interface Endpoint {
  /** `networking.advertisedAddress`, else the inbound's or the proxy's address. */
  readonly address: string;
  readonly port: number;
  /** All tags of the inbound, `kuma.io/service` included. Sorted by key. */
  readonly tags: Readonly<Record<string, string>>;
  /** Value of `kuma.io/zone`, or ''. */
  readonly zone: string;
  readonly healthy: boolean;
  /** Name of the Dataplane. */
  readonly dataplane: string;
}

/** Everything known about one `kuma.io/service` value of one mesh. */
export interface ServiceView {
  readonly name: string;
  /** What all its inbounds agree on; `tcp` when they differ or say nothing. */
  readonly protocol: Protocol;
  /** Sorted by address, port. Unhealthy ones included. */
  readonly endpoints: readonly Endpoint[];
}

/**
 * Frozen view of one mesh. A new one shares with the old one every part that did not change, so `===` says "same content":
 * that is how the push side finds the proxies concerned.
 */
export interface MeshSnapshot {
  readonly name: string;
  /** `undefined`: no such mesh (its dataplanes may still be here). */
  readonly mesh: Resource<MeshSpec> | undefined;
  readonly dataplanes: ReadonlyMap<string, Resource<DataplaneSpec>>;
  readonly services: ReadonlyMap<string, ServiceView>;
  /** Addresses of services that proxies take connections for, besides their outbounds. Empty but on Kubernetes; only of services in `services`. */
  readonly vips: ReadonlyMap<string, ServiceVip>;
  /** Policy kind to its policies, sorted by name; shadow policies included. */
  readonly policies: ReadonlyMap<string, readonly Resource[]>;
}
