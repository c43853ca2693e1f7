/** Network filters of a listener's chains. Source: Kuma 2.11 `pkg/xds/envoy/listeners/v3`. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  FilterSchema,
  ListenerFilterSchema,
} from '@weft/protos/envoy/config/listener/v3/listener_components_pb.js';
import { FilterConfigSchema as GrpcStatsSchema } from '@weft/protos/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js';
import { HealthCheckSchema } from '@weft/protos/envoy/extensions/filters/http/health_check/v3/health_check_pb.js';
import { RouterSchema } from '@weft/protos/envoy/extensions/filters/http/router/v3/router_pb.js';
import { TlsInspectorSchema } from '@weft/protos/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import {
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManagerSchema,
  type HttpFilterSchema,
} from '@weft/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TcpProxySchema } from '@weft/protos/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { cidrRanges } from './address.ts';
import { INBOUND_TIMEOUTS, OUTBOUND_TIMEOUTS, seconds } from './duration.ts';
import { anyOf, packAny } from './encode.ts';
import { statName } from './names.ts';
import { HTTP_RBAC_TYPE, NETWORK_RBAC_TYPE } from './rbac.ts';
import type { RouteConfigurationInit } from './route.ts';

export type FilterInit = MessageInitShape<typeof FilterSchema>;
export type ListenerFilterInit = MessageInitShape<typeof ListenerFilterSchema>;
type HttpFilterInit = MessageInitShape<typeof HttpFilterSchema>;
type HcmInit = MessageInitShape<typeof HttpConnectionManagerSchema>;

/** Which requests count as internal. */
export interface InternalClients {
  readonly cidrs: readonly string[];
  readonly ipv6Enabled: boolean;
}

/**
 * HTTP towards the application: the client's identity goes into `x-forwarded-client-cert`. Clients close idle connections, not this side:
 * else a request may meet a closing connection. `rbac`: encoded, see `httpRbac`.
 */
export function inboundHttp(options: {
  readonly cluster: string;
  readonly routes: RouteConfigurationInit;
  readonly internal: InternalClients;
  readonly isGrpc: boolean;
  readonly rbac: Uint8Array | undefined;
  /** How old a connection may get, in seconds: its client is then asked to make a new one (GOAWAY). Absent: any age. */
  readonly connectionAgeS?: number | undefined;
}): FilterInit {
  const { connectionAgeS } = options;
  return connectionManager({
    statPrefix: statName(options.cluster),
    forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.SANITIZE_SET,
    setCurrentClientCertDetails: { uri: true },
    internalAddressConfig: internalAddresses(options.internal),
    commonHttpProtocolOptions: {
      idleTimeout: seconds(0),
      ...(connectionAgeS !== undefined && { maxConnectionDuration: seconds(connectionAgeS) }),
    },
    streamIdleTimeout: seconds(INBOUND_TIMEOUTS.streamIdleS),
    routeSpecifier: { case: 'routeConfig', value: options.routes },
    httpFilters: [
      ...(options.rbac === undefined ? [] : [httpRbacFilter(options.rbac)]),
      ...(options.isGrpc ? [grpcStats()] : []),
      router(),
    ],
  });
}

/** HTTP from the application to a destination. Idle connections are closed on the destination's side, not here. */
export function outboundHttp(options: {
  readonly service: string;
  readonly routes: RouteConfigurationInit;
  readonly internal: InternalClients;
  readonly isGrpc: boolean;
}): FilterInit {
  return connectionManager({
    statPrefix: statName(options.service),
    normalizePath: true,
    internalAddressConfig: internalAddresses(options.internal),
    commonHttpProtocolOptions: { idleTimeout: seconds(0) },
    routeSpecifier: { case: 'routeConfig', value: options.routes },
    httpFilters: [...(options.isGrpc ? [grpcStats()] : []), router()],
  });
}

/** HTTP for the proxy's own endpoints. */
export function staticHttp(
  name: string,
  routes: RouteConfigurationInit,
  ipv6Enabled: boolean,
  cidrs: readonly string[],
  healthAnswers: readonly HealthAnswer[] = [],
): FilterInit {
  return connectionManager({
    statPrefix: statName(name),
    internalAddressConfig: internalAddresses({ cidrs, ipv6Enabled }),
    routeSpecifier: { case: 'routeConfig', value: routes },
    httpFilters: [...healthAnswers.map(healthAnswer), router()],
  });
}

/** A path that Envoy answers itself: 200 while the cluster is healthy, else 503. */
export interface HealthAnswer {
  readonly path: string;
  readonly cluster: string;
}

function healthAnswer({ path, cluster }: HealthAnswer): HttpFilterInit {
  return {
    name: 'envoy.filters.http.health_check',
    configType: {
      case: 'typedConfig',
      value: packAny(HealthCheckSchema, {
        passThroughMode: false,
        clusterMinHealthyPercentages: { [cluster]: { value: 100 } },
        headers: [
          {
            name: ':path',
            headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: path } } },
          },
        ],
      }),
    },
  };
}

/** Bytes to one cluster. `side`: whose idle timeout; `undefined`: Envoy's default. */
export function tcpProxy(stat: string, cluster: string, side?: 'inbound' | 'outbound'): FilterInit {
  const idleS = side === 'inbound' ? INBOUND_TIMEOUTS.idleS : OUTBOUND_TIMEOUTS.idleS;
  return {
    name: 'envoy.filters.network.tcp_proxy',
    configType: {
      case: 'typedConfig',
      value: packAny(TcpProxySchema, {
        statPrefix: statName(stat),
        clusterSpecifier: { case: 'cluster', value: cluster },
        ...(side !== undefined && { idleTimeout: seconds(idleS) }),
      }),
    },
  };
}

/** `encoded`: see `networkRbac`. */
export function networkRbacFilter(encoded: Uint8Array): FilterInit {
  return {
    name: 'envoy.filters.network.rbac',
    configType: { case: 'typedConfig', value: anyOf(NETWORK_RBAC_TYPE, encoded) },
  };
}

/** Tells TLS from plain text, and reads ALPN and SNI. */
export function tlsInspector(): ListenerFilterInit {
  return {
    name: 'envoy.filters.listener.tls_inspector',
    configType: { case: 'typedConfig', value: packAny(TlsInspectorSchema, {}) },
  };
}

function connectionManager(config: HcmInit): FilterInit {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, config) },
  };
}

function internalAddresses({ cidrs, ipv6Enabled }: InternalClients): HcmInit['internalAddressConfig'] {
  return { cidrRanges: [...cidrRanges(cidrs, ipv6Enabled)] };
}

function httpRbacFilter(encoded: Uint8Array): HttpFilterInit {
  return {
    name: 'envoy.filters.http.rbac',
    configType: { case: 'typedConfig', value: anyOf(HTTP_RBAC_TYPE, encoded) },
  };
}

function grpcStats(): HttpFilterInit {
  return {
    name: 'envoy.filters.http.grpc_stats',
    configType: { case: 'typedConfig', value: packAny(GrpcStatsSchema, { emitFilterState: true }) },
  };
}

function router(): HttpFilterInit {
  return { name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: packAny(RouterSchema, {}) } };
}
