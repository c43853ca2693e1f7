/** Clusters. Source: Kuma 2.11 `pkg/xds/envoy/clusters/v3`; compatibility reference 2.5. */
import { isIP, isIPv6 } from 'node:net';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
  ClusterSchema,
} from '@weft/protos/envoy/config/cluster/v3/cluster_pb.js';
import { ApiVersion } from '@weft/protos/envoy/config/core/v3/config_source_pb.js';
import { HttpProtocolOptionsSchema } from '@weft/protos/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { EncodedResource } from '../xds-server/xds.ts';
import { pipeAddress, socketAddress } from './address.ts';
import { INBOUND_TIMEOUTS, OUTBOUND_TIMEOUTS, seconds } from './duration.ts';
import { encode, encodeResource, packAny, RESOURCE_TYPE } from './encode.ts';
import { fixedAssignment, type LoadAssignmentInit } from './endpoints.ts';
import type { MetadataInit } from './metadata.ts';
import { altStatName } from './names.ts';
import type { TransportSocketInit } from './tls.ts';

type ClusterInit = MessageInitShape<typeof ClusterSchema>;

/** How a cluster speaks to its endpoints; `none`: it is not HTTP. */
export type UpstreamHttp = 'none' | 'http1' | 'http2';

/** The application behind an inbound. `sourceAddress`: local address of the connection, so that redirect rules let it pass. */
export function localCluster(options: {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly http: UpstreamHttp;
  readonly sourceAddress: string | undefined;
}): EncodedResource {
  const { name, http, sourceAddress } = options;
  return clusterResource({
    name,
    ...altStatName(name),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: seconds(INBOUND_TIMEOUTS.connectS),
    loadAssignment: fixedAssignment(name, socketAddress(options.address, options.port)),
    ...httpOptions(http, INBOUND_TIMEOUTS.idleS),
    ...(sourceAddress !== undefined && { upstreamBindConfig: bindTo(sourceAddress) }),
  });
}

/** How often Envoy asks on behalf of a probe, and how long it waits: not longer than what a kubelet takes for granted. */
const PROBE_EVERY_S = 1;

/**
 * A port of the application whose health Envoy itself looks after: by a TCP connection, or by gRPC health checking. It gets no requests.
 * Source: Envoy `core.v3.HealthCheck`.
 */
export function probedCluster(options: {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly check: { readonly protocol: 'tcp' } | { readonly protocol: 'grpc'; readonly service: string };
  readonly sourceAddress: string | undefined;
}): EncodedResource {
  const { name, check, sourceAddress } = options;
  return clusterResource({
    name,
    ...altStatName(name),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: seconds(PROBE_EVERY_S),
    loadAssignment: fixedAssignment(name, socketAddress(options.address, options.port)),
    healthChecks: [
      {
        timeout: seconds(PROBE_EVERY_S),
        interval: seconds(PROBE_EVERY_S),
        // Else a cluster without requests is asked once a minute.
        noTrafficInterval: seconds(PROBE_EVERY_S),
        healthyThreshold: 1,
        unhealthyThreshold: 1,
        healthChecker:
          check.protocol === 'tcp'
            ? { case: 'tcpHealthCheck', value: {} }
            : { case: 'grpcHealthCheck', value: { serviceName: check.service } },
      },
    ],
    ...httpOptions(check.protocol === 'grpc' ? 'http2' : 'none', undefined),
    ...(sourceAddress !== undefined && { upstreamBindConfig: bindTo(sourceAddress) }),
  });
}

/** Where a destination's endpoints come from. */
export type EndpointSource =
  /** From EDS, over the same stream. */
  | { readonly kind: 'eds' }
  /** In the cluster itself and looked up by Envoy: some addresses are host names, which EDS refuses. */
  | { readonly kind: 'dns'; readonly assignment: LoadAssignmentInit };

/** A destination in the mesh. Between proxies it is always HTTP/2, whatever the application speaks (ignored for plain TCP). */
export function destinationCluster(options: {
  readonly name: string;
  readonly isHttp: boolean;
  readonly endpoints: EndpointSource;
  readonly tls: TransportSocketInit | undefined;
  /** How old a connection may get, in seconds: then it gets no new requests, and ends with its last one. Absent: any age. */
  readonly connectionAgeS?: number | undefined;
  readonly metadata?: MetadataInit | undefined;
}): EncodedResource {
  const { name, endpoints, tls, connectionAgeS, metadata } = options;
  return clusterResource({
    name,
    ...altStatName(name),
    ...(metadata && { metadata }),
    connectTimeout: seconds(OUTBOUND_TIMEOUTS.connectS),
    ...(endpoints.kind === 'eds'
      ? {
          clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
          edsClusterConfig: {
            edsConfig: { resourceApiVersion: ApiVersion.V3, configSourceSpecifier: { case: 'ads', value: {} } },
          },
        }
      : {
          clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STRICT_DNS },
          dnsLookupFamily: Cluster_DnsLookupFamily.AUTO,
          loadAssignment: endpoints.assignment,
        }),
    ...httpOptions('http2', options.isHttp ? OUTBOUND_TIMEOUTS.idleS : undefined, connectionAgeS),
    ...(tls && { transportSocket: tls }),
  });
}

/** Whatever address the client asked for. */
export function passthroughCluster(options: {
  readonly name: string;
  readonly sourceAddress?: string;
  readonly tls?: TransportSocketInit | undefined;
  readonly metadata?: MetadataInit | undefined;
}): EncodedResource {
  const { name, sourceAddress, tls, metadata } = options;
  return clusterResource({
    name,
    ...altStatName(name),
    ...(metadata && { metadata }),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: seconds(OUTBOUND_TIMEOUTS.connectS),
    ...(sourceAddress !== undefined && { upstreamBindConfig: bindTo(sourceAddress) }),
    ...(tls && { transportSocket: tls }),
  });
}

/** A service of the proxy's own machine; `address` is an IP, or with a leading `/` a unix socket (`port` is not used). */
export function loopbackCluster(name: string, address: string, port: number): EncodedResource {
  return clusterResource({
    name,
    ...altStatName(name),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: seconds(OUTBOUND_TIMEOUTS.connectS),
    loadAssignment: fixedAssignment(
      name,
      address.startsWith('/') ? pipeAddress(address) : socketAddress(address, port),
    ),
  });
}

/** True when Envoy takes the address as it is. */
export function isIpAddress(address: string): boolean {
  return isIP(address) !== 0;
}

/** Local address for connections that must not be redirected again. Source: Kuma 2.11 `InPassThroughIPv4`. */
export function passthroughSource(address: string): string {
  return isIPv6(address) ? '::6' : '127.0.0.6';
}

function clusterResource(init: ClusterInit & { name: string }): EncodedResource {
  return encodeResource(RESOURCE_TYPE.cluster, init.name, encode(ClusterSchema, init));
}

function bindTo(address: string): ClusterInit['upstreamBindConfig'] {
  return { sourceAddress: { address, portSpecifier: { case: 'portValue', value: 0 } } };
}

/** `idleS`: how long a connection may be without a request; `undefined`: Envoy's default. `ageS`: how long it may be at all. */
function httpOptions(
  http: UpstreamHttp,
  idleS: number | undefined,
  ageS?: number,
): { typedExtensionProtocolOptions?: Record<string, Any> } {
  if (http === 'none') return {};
  return {
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(HttpProtocolOptionsSchema, {
        ...((idleS !== undefined || ageS !== undefined) && {
          commonHttpProtocolOptions: {
            ...(idleS !== undefined && { idleTimeout: seconds(idleS) }),
            ...(ageS !== undefined && { maxConnectionDuration: seconds(ageS) }),
          },
        }),
        upstreamProtocolOptions: {
          case: 'explicitHttpConfig',
          value: {
            protocolConfig:
              http === 'http1'
                ? { case: 'httpProtocolOptions', value: {} }
                : { case: 'http2ProtocolOptions', value: {} },
          },
        },
      }),
    },
  };
}
