import { createRegistry, type DescFile, fromBinary, type Registry, toJson } from '@bufbuild/protobuf';
import {
  AnySchema,
  anyUnpack,
  file_google_protobuf_struct,
  file_google_protobuf_wrappers,
} from '@bufbuild/protobuf/wkt';
import type { EncodedResource, ResourceSet } from '../xds-server/xds.ts';

/** Generated configuration as protobuf JSON: type URL to name to resource, sorted. */
export type XdsJson = Record<string, Record<string, unknown>>;

/** Throws nothing: a resource with a message type we do not know is shown as its type and base64 bytes. */
export async function xdsJson(set: ResourceSet): Promise<XdsJson> {
  const registry = createRegistry(...(await envoyTypes()));
  return Object.fromEntries(
    [...set]
      .filter(([, resources]) => resources.size > 0)
      .sort(([a], [b]) => compare(a, b))
      .map(([typeUrl, resources]) => [
        typeUrl,
        Object.fromEntries(
          [...resources]
            .sort(([a], [b]) => compare(a, b))
            .map(([name, resource]) => [name, masked(resourceJson(resource, registry))]),
        ),
      ]),
  );
}

function resourceJson(resource: EncodedResource, registry: Registry): unknown {
  const any = fromBinary(AnySchema, resource.any);
  try {
    const message = anyUnpack(any, registry);
    const schema = message && registry.getMessage(message.$typeName);
    if (message && schema) return toJson(schema, message, { registry });
  } catch {
    // An Any inside is of a type that is not in the registry; shown below as it is.
  }
  return { '@type': any.typeUrl, value: Buffer.from(any.value).toString('base64') };
}

/** Secrets are not generated here; should inline material ever be in a resource, it is masked as Kuma masks it: base64 of the words CERT, KEY, CA. Types come first. */
function masked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(masked);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).sort(([a], [b]) => Number(b === '@type') - Number(a === '@type'));
  return Object.fromEntries(
    entries.map(([key, inner]) => {
      const word = MASKED_FIELDS[key];
      return [key, word && isDataSource(inner) ? { inlineBytes: Buffer.from(word).toString('base64') } : masked(inner)];
    }),
  );
}

const MASKED_FIELDS: Readonly<Record<string, string>> = {
  certificateChain: 'CERT',
  privateKey: 'KEY',
  trustedCa: 'CA',
};

function isDataSource(value: unknown): boolean {
  return value !== null && typeof value === 'object' && ('inlineBytes' in value || 'inlineString' in value);
}

/** Descriptors of every message the generator puts in a resource; loaded when first asked for, they are large. */
async function envoyTypes(): Promise<readonly DescFile[]> {
  const files = await Promise.all([
    import('@weft/protos/envoy/config/cluster/v3/cluster_pb.js').then(
      (module) => module.file_envoy_config_cluster_v3_cluster,
    ),
    import('@weft/protos/envoy/config/endpoint/v3/endpoint_pb.js').then(
      (module) => module.file_envoy_config_endpoint_v3_endpoint,
    ),
    import('@weft/protos/envoy/config/listener/v3/listener_pb.js').then(
      (module) => module.file_envoy_config_listener_v3_listener,
    ),
    import('@weft/protos/envoy/config/route/v3/route_pb.js').then((module) => module.file_envoy_config_route_v3_route),
    import('@weft/protos/envoy/extensions/transport_sockets/tls/v3/tls_pb.js').then(
      (module) => module.file_envoy_extensions_transport_sockets_tls_v3_tls,
    ),
    import('@weft/protos/envoy/extensions/transport_sockets/tls/v3/secret_pb.js').then(
      (module) => module.file_envoy_extensions_transport_sockets_tls_v3_secret,
    ),
    import('@weft/protos/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js').then(
      (module) => module.file_envoy_extensions_transport_sockets_raw_buffer_v3_raw_buffer,
    ),
    import(
      '@weft/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
    ).then((module) => module.file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager),
    import('@weft/protos/envoy/extensions/filters/network/rbac/v3/rbac_pb.js').then(
      (module) => module.file_envoy_extensions_filters_network_rbac_v3_rbac,
    ),
    import('@weft/protos/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js').then(
      (module) => module.file_envoy_extensions_filters_network_tcp_proxy_v3_tcp_proxy,
    ),
    import('@weft/protos/envoy/extensions/filters/network/direct_response/v3/config_pb.js').then(
      (module) => module.file_envoy_extensions_filters_network_direct_response_v3_config,
    ),
    import('@weft/protos/envoy/extensions/filters/http/rbac/v3/rbac_pb.js').then(
      (module) => module.file_envoy_extensions_filters_http_rbac_v3_rbac,
    ),
    import('@weft/protos/envoy/extensions/filters/http/router/v3/router_pb.js').then(
      (module) => module.file_envoy_extensions_filters_http_router_v3_router,
    ),
    import('@weft/protos/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js').then(
      (module) => module.file_envoy_extensions_filters_http_grpc_stats_v3_config,
    ),
    import('@weft/protos/envoy/extensions/filters/http/health_check/v3/health_check_pb.js').then(
      (module) => module.file_envoy_extensions_filters_http_health_check_v3_health_check,
    ),
    import('@weft/protos/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js').then(
      (module) => module.file_envoy_extensions_filters_listener_tls_inspector_v3_tls_inspector,
    ),
    import('@weft/protos/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js').then(
      (module) => module.file_envoy_extensions_filters_listener_http_inspector_v3_http_inspector,
    ),
    import('@weft/protos/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js').then(
      (module) => module.file_envoy_extensions_filters_listener_original_dst_v3_original_dst,
    ),
    import('@weft/protos/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js').then(
      (module) => module.file_envoy_extensions_upstreams_http_v3_http_protocol_options,
    ),
    import('@weft/protos/envoy/extensions/upstreams/tcp/v3/tcp_protocol_options_pb.js').then(
      (module) => module.file_envoy_extensions_upstreams_tcp_v3_tcp_protocol_options,
    ),
    import('@weft/protos/envoy/extensions/access_loggers/file/v3/file_pb.js').then(
      (module) => module.file_envoy_extensions_access_loggers_file_v3_file,
    ),
    import('@weft/protos/envoy/extensions/access_loggers/stream/v3/stream_pb.js').then(
      (module) => module.file_envoy_extensions_access_loggers_stream_v3_stream,
    ),
    import('@weft/protos/envoy/service/runtime/v3/rtds_pb.js').then(
      (module) => module.file_envoy_service_runtime_v3_rtds,
    ),
  ]);
  return [...files, file_google_protobuf_wrappers, file_google_protobuf_struct];
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
