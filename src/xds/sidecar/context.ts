import { isIPv4 } from 'node:net';
import { isIpAddress } from '../../envoy/cluster.ts';
import type { MeshSnapshot } from '../../mesh/snapshot.ts';
import type { DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import type { Resource } from '../../resources/resource.ts';
import { GenerateError } from '../error.ts';
import type { GenerationCache, ProxyMetadata } from '../generate.ts';
import type { MeshFeatures } from '../mesh-features.ts';

/** Everything one sidecar's configuration is made from. */
export interface SidecarContext {
  readonly dataplane: Resource<DataplaneSpec>;
  /** `networking` of the Dataplane, never absent. */
  readonly networking: NonNullable<DataplaneSpec['networking']>;
  readonly metadata: ProxyMetadata;
  readonly snapshot: MeshSnapshot;
  readonly mesh: MeshFeatures;
  /** The mesh's MeshTrafficPermissions. */
  readonly permissions: readonly Resource[];
  readonly shadow: boolean;
  /** Connections to this service of the mesh use mesh TLS. */
  readonly clientTls: (service: string) => boolean;
  readonly cache: GenerationCache;
  readonly redirect: TrafficRedirect;
}

/** Transparent proxying, as the Dataplane asks for it. */
export interface TrafficRedirect {
  /** Listeners get their connections by redirect. */
  readonly inbound: boolean;
  readonly outbound: boolean;
  /** 0: there is no catch-all listener. */
  readonly outboundPort: number;
  readonly inboundPort: number;
  readonly ipv6: boolean;
}

/** Asks that outbounds are bound although traffic is redirected. Source: Kuma 2.11 `FeatureBindOutbounds`. */
const BIND_OUTBOUNDS = 'feature-bind-outbounds';

/** Source: Kuma 2.11 `transparentproxy/config/dataplane`. */
export function trafficRedirect(spec: DataplaneSpec, metadata: ProxyMetadata): TrafficRedirect {
  const redirect = spec.networking?.transparentProxying;
  const inboundPort = redirect?.redirectPortInbound ?? 0;
  const outboundPort = redirect?.redirectPortOutbound ?? 0;
  const ipv4Only = redirect?.ipFamilyMode === 'IPv4';
  const enabled = (inboundPort > 0 || outboundPort > 0) && (!ipv4Only || isIPv4(spec.networking?.address ?? ''));
  const bindOutbounds = metadata.features.includes(BIND_OUTBOUNDS);
  return {
    inbound: enabled,
    outbound: enabled && !bindOutbounds,
    outboundPort: bindOutbounds ? 0 : outboundPort,
    inboundPort,
    ipv6: !ipv4Only,
  };
}

/** Envoy binds and connects to addresses, not to names. Throws `GenerateError`. */
export function requireIp(address: string, field: string, purpose: string): string {
  if (isIpAddress(address)) return address;
  throw new GenerateError(
    field,
    `${purpose} on "${address}": Envoy needs an IP address here; put the IP in networking.address and, if others must use the name, the name in networking.advertisedAddress`,
  );
}
