import { isIP } from 'node:net';
import { LAUNCHER_KEYS_CLUSTER } from '../envoy/names.ts';
import type { BootstrapRequest } from './request.ts';

/** Everything a bootstrap is made of besides the request. */
export interface BootstrapInput {
  readonly request: BootstrapRequest;
  /** `kuma.io/service` of the proxy; `ingress` and `egress` for zone proxies. */
  readonly cluster: string;
  /** 0: no admin API. */
  readonly adminPort: number;
  readonly adminAddress: string;
  readonly adminAccessLogPath: string;
  /** Where the proxy reaches the control plane. */
  readonly xdsHost: string;
  readonly xdsPort: number;
  readonly xdsConnectTimeoutMs: number;
  /** PEM the proxy verifies the control plane with. */
  readonly caPem: string;
  readonly deltaXds: boolean;
  /** The proxy reads its token from `dataplaneTokenPath` at each connection. */
  readonly reloadableTokens: boolean;
  readonly isBuiltinGateway: boolean;
}

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';

/**
 * Envoy's bootstrap for one proxy, as proto3 JSON (which is YAML too). Pure.
 * Source: kuma-compat 4.3; Envoy `config.bootstrap.v3.Bootstrap`.
 */
export function buildBootstrap(input: BootstrapInput): Record<string, unknown> {
  const { request } = input;
  const tokenFromFile = input.reloadableTokens && request.dataplaneTokenPath !== '';
  return {
    node: { id: `${request.mesh}.${request.name}`, cluster: input.cluster, metadata: nodeMetadata(input) },
    ...(hasAdmin(input) ? { admin: admin(input) } : {}),
    dynamic_resources: {
      lds_config: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
      cds_config: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
      ads_config: {
        api_type: input.deltaXds ? 'DELTA_GRPC' : 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [tokenFromFile ? grpcWithTokenFile(input) : grpcThroughCluster(request)],
      },
    },
    static_resources: {
      secrets: [
        {
          name: 'cp_validation_ctx',
          validation_context: {
            trusted_ca: { inline_string: input.caPem },
            match_typed_subject_alt_names: (['DNS', 'IP_ADDRESS'] as const).map((san_type) => ({
              san_type,
              matcher: { exact: input.xdsHost },
            })),
          },
        },
      ],
      clusters: [
        accessLogSink(input),
        ...(request.keySocketPath === '' ? [] : [launcherKeys(input)]),
        ...(tokenFromFile ? [] : [adsCluster(input)]),
      ],
    },
    layered_runtime: {
      layers: [
        {
          name: 'kuma',
          static_layer: { 're2.max_program_size.error_level': 4294967295, 're2.max_program_size.warn_level': 1000 },
        },
        ...(input.isBuiltinGateway
          ? [
              {
                name: 'gateway.listeners',
                rtds_layer: { name: 'gateway.listeners', rtds_config: { ads: {}, resource_api_version: 'V3' } },
              },
            ]
          : []),
      ],
    },
    stats_config: {
      stats_tags: [
        { tag_name: 'name', regex: '^grpc\\.((.+)\\.)' },
        { tag_name: 'status', regex: '^grpc.*streams_closed(_([0-9]+))' },
        { tag_name: 'kafka_name', regex: '^kafka(\\.(\\S*[0-9]))\\.' },
        { tag_name: 'kafka_type', regex: '^kafka\\..*\\.(.*?(?=_duration|$))' },
        { tag_name: 'worker', regex: '(worker_([0-9]+)\\.)' },
        { tag_name: 'listener', regex: '((.+?)\\.)rbac\\.' },
      ],
    },
    default_regex_engine: {
      name: 'envoy.regex_engines.google_re2',
      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.regex_engines.v3.GoogleRE2' },
    },
  };
}

function hasAdmin({ adminPort, request }: BootstrapInput): boolean {
  return adminPort !== 0 || request.adminSocketPath !== '';
}

/** Numbers travel as strings here: that is what Kuma's control plane reads. */
function nodeMetadata(input: BootstrapInput): Record<string, unknown> {
  const { request } = input;
  const filled: [string, unknown][] = [
    ['dataplane.resource', request.dataplaneResource],
    ['dataplane.admin.port', input.adminPort === 0 ? '' : String(input.adminPort)],
    ['dataplane.admin.address', hasAdmin(input) ? request.adminSocketPath || input.adminAddress : ''],
    ['dataplane.dns.port', request.dnsPort === 0 ? '' : String(request.dnsPort)],
    ['dataplane.readinessReporter.port', request.readinessPort === 0 ? '' : String(request.readinessPort)],
    ['dataplane.appProbeProxy.enabled', request.appProbeProxyDisabled ? 'true' : ''],
    ['dataplane.proxyType', request.proxyType],
    ['weft.keys', request.keySocketPath === '' ? '' : 'proxy'],
  ];
  const dynamic =
    Object.keys(request.dynamicMetadata ?? {}).length > 0 ? { dynamicMetadata: request.dynamicMetadata } : {};
  return {
    version: request.version,
    features: request.features ?? [],
    workdir: request.workdir,
    metricsCertPath: request.metricsResources.certPath,
    metricsKeyPath: request.metricsResources.keyPath,
    systemCaPath: request.systemCaPath,
    ipv6Enabled: request.ipv6Enabled,
    ...Object.fromEntries(filled.filter(([, value]) => value !== '')),
    ...dynamic,
    ...(request.dataplaneConfig ? { transparentProxy: request.dataplaneConfig } : {}),
  };
}

function admin(input: BootstrapInput): Record<string, unknown> {
  const { adminSocketPath } = input.request;
  return {
    address:
      adminSocketPath === ''
        ? { socket_address: { address: input.adminAddress, port_value: input.adminPort } }
        : { pipe: { path: adminSocketPath, mode: 0o600 } },
    ...(input.adminAccessLogPath === ''
      ? {}
      : {
          access_log: [
            {
              name: 'envoy.access_loggers.file',
              typed_config: {
                '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
                path: input.adminAccessLogPath,
              },
            },
          ],
        }),
  };
}

function grpcThroughCluster(request: BootstrapRequest): Record<string, unknown> {
  return {
    envoy_grpc: { cluster_name: 'ads_cluster' },
    ...(request.dataplaneToken === ''
      ? {}
      : { initial_metadata: [{ key: 'authorization', value: request.dataplaneToken }] }),
  };
}

function grpcWithTokenFile(input: BootstrapInput): Record<string, unknown> {
  const host = isIP(input.xdsHost) === 6 ? `[${input.xdsHost}]` : input.xdsHost;
  return {
    google_grpc: {
      target_uri: `${host}:${input.xdsPort}`,
      stat_prefix: 'ads',
      credentials_factory_name: 'envoy.grpc_credentials.file_based_metadata',
      channel_credentials: { ssl_credentials: { root_certs: { inline_string: input.caPem } } },
      call_credentials: [
        {
          from_plugin: {
            name: 'envoy.grpc_credentials.file_based_metadata',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig',
              secret_data: { filename: input.request.dataplaneTokenPath },
            },
          },
        },
      ],
      channel_args: {
        args: {
          'grpc.keepalive_time_ms': { int_value: 10_000 },
          'grpc.keepalive_timeout_ms': { int_value: 30_000 },
          'grpc.http2.max_pings_without_data': { int_value: 0 },
        },
      },
    },
  };
}

const KEEPALIVE = { tcp_keepalive: { keepalive_probes: 3, keepalive_time: 10, keepalive_interval: 10 } };
const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

function adsCluster(input: BootstrapInput): Record<string, unknown> {
  return {
    name: 'ads_cluster',
    type: isIP(input.xdsHost) === 0 ? 'STRICT_DNS' : 'STATIC',
    // A control plane may listen on 127.0.0.1 only, where `localhost` is ::1 first.
    ...(input.xdsHost === 'localhost' ? { dns_lookup_family: 'V4_PREFERRED' } : {}),
    connect_timeout: seconds(input.xdsConnectTimeoutMs),
    upstream_connection_options: KEEPALIVE,
    typed_extension_protocol_options: HTTP2,
    load_assignment: {
      cluster_name: 'ads_cluster',
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: input.xdsHost, port_value: input.xdsPort } } } },
          ],
        },
      ],
    },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${TLS}.UpstreamTlsContext`,
        sni: input.xdsHost,
        common_tls_context: {
          tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
          alpn_protocols: ['h2'],
          validation_context_sds_secret_config: { name: 'cp_validation_ctx' },
        },
      },
    },
  };
}

/** The unix socket where the launcher takes access logs; the name is what kuma-dp listens on. */
function accessLogSink(input: BootstrapInput): Record<string, unknown> {
  const { workdir, mesh, name } = input.request;
  return {
    name: 'access_log_sink',
    type: 'STATIC',
    connect_timeout: seconds(input.xdsConnectTimeoutMs),
    upstream_connection_options: KEEPALIVE,
    typed_extension_protocol_options: HTTP2,
    load_assignment: {
      cluster_name: 'access_log_sink',
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { pipe: { path: accessLogSocket(workdir, name, mesh) } } } }] },
      ],
    },
  };
}

/** The unix socket where the launcher gives Envoy its certificate; see `envoy/tls.ts`. */
function launcherKeys(input: BootstrapInput): Record<string, unknown> {
  return {
    name: LAUNCHER_KEYS_CLUSTER,
    type: 'STATIC',
    connect_timeout: seconds(input.xdsConnectTimeoutMs),
    load_assignment: {
      cluster_name: LAUNCHER_KEYS_CLUSTER,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: input.request.keySocketPath } } } }] }],
    },
  };
}

/** kuma-dp cuts the path here, so that the socket's name fits on every system. Source: Kuma 2.11 `pkg/core/xds/sockets.go`. */
const SOCKET_PATH_CUT = 98;

function accessLogSocket(workdir: string, name: string, mesh: string): string {
  const path = `${workdir === '' ? '/tmp' : workdir}/kuma-al-${name}-${mesh}`;
  return `${path.slice(0, SOCKET_PATH_CUT)}.sock`;
}

function seconds(ms: number): string {
  return `${ms / 1000}s`;
}
