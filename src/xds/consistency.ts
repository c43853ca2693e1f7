import { fromBinary } from '@bufbuild/protobuf';
import { type Any, AnySchema, anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from '@weft/protos/envoy/config/cluster/v3/cluster_pb.js';
import { type Listener, ListenerSchema } from '@weft/protos/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from '@weft/protos/envoy/config/route/v3/route_pb.js';
import { HealthCheckSchema } from '@weft/protos/envoy/extensions/filters/http/health_check/v3/health_check_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '@weft/protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TcpProxySchema } from '@weft/protos/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { RESOURCE_TYPE } from '../envoy/encode.ts';
import type { ResourceSet, TypeUrl } from '../xds-server/xds.ts';

/** Pass-through may be switched off by leaving its cluster out: connections to it are closed. */
const MAY_BE_MISSING = /^outbound:passthrough:ipv[46]$/;

/**
 * What does not fit together in a set, one line each: a cluster or endpoint list that is referred to and not there, or there and never used;
 * two listeners bound to one address. Decodes everything: for tests and tools, not for each push.
 */
export function findInconsistencies(set: ResourceSet): readonly string[] {
  const clusters = decoded(set, RESOURCE_TYPE.cluster, (bytes) => fromBinary(ClusterSchema, bytes));
  const listeners = decoded(set, RESOURCE_TYPE.listener, (bytes) => fromBinary(ListenerSchema, bytes));
  const assignments = new Set(set.get(RESOURCE_TYPE.endpoint)?.keys());
  const used = new Set<string>();
  const problems: string[] = [];
  const places = new Map<string, string>();
  for (const listener of listeners) {
    for (const cluster of clustersOf(listener)) {
      used.add(cluster);
      if (!clusters.some(({ name }) => name === cluster) && !MAY_BE_MISSING.test(cluster)) {
        problems.push(`listener ${listener.name} refers to cluster ${cluster}, which is not there`);
      }
    }
    const place = placeOf(listener);
    const other = places.get(place);
    if (other !== undefined) problems.push(`listeners ${other} and ${listener.name} are both on ${place}`);
    places.set(place, listener.name);
  }
  for (const cluster of clusters) {
    if (isEds(cluster) && !assignments.delete(cluster.name)) {
      problems.push(`cluster ${cluster.name} has no endpoint list`);
    }
    if (!used.has(cluster.name) && !isForOthers(cluster.name)) problems.push(`cluster ${cluster.name} is not used`);
  }
  for (const name of assignments) problems.push(`endpoint list ${name} belongs to no cluster`);
  return problems;
}

/** The admin API and readiness have clusters even where no listener leads to them, as in Kuma; a direct access cluster may wait for instances. */
function isForOthers(cluster: string): boolean {
  return cluster.startsWith('kuma:') || cluster === 'direct_access' || cluster.startsWith('inbound:passthrough:');
}

function decoded<Message>(set: ResourceSet, type: TypeUrl, decode: (bytes: Uint8Array) => Message): readonly Message[] {
  return [...(set.get(type)?.values() ?? [])].map(({ any }) => decode(fromBinary(AnySchema, any).value));
}

function isEds({ clusterDiscoveryType }: Cluster): boolean {
  return clusterDiscoveryType.case === 'type' && clusterDiscoveryType.value === Cluster_DiscoveryType.EDS;
}

function placeOf({ address }: Listener): string {
  const socket = address?.address.case === 'socketAddress' ? address.address.value : undefined;
  return `${socket?.address} port ${socket?.portSpecifier.value}`;
}

function clustersOf(listener: Listener): readonly string[] {
  return listener.filterChains.flatMap(({ filters }) =>
    filters.flatMap(({ configType }) => (configType.case === 'typedConfig' ? clustersOfFilter(configType.value) : [])),
  );
}

function clustersOfFilter(config: Any): readonly string[] {
  const tcp = anyUnpack(config, TcpProxySchema);
  if (tcp?.clusterSpecifier.case === 'cluster') return [tcp.clusterSpecifier.value];
  const http = anyUnpack(config, HttpConnectionManagerSchema);
  if (http === undefined) return [];
  const routed = http.routeSpecifier.case === 'routeConfig' ? clustersOfRoutes(http.routeSpecifier.value) : [];
  return [...routed, ...clustersOfHealthAnswers(http)];
}

function clustersOfHealthAnswers({ httpFilters }: HttpConnectionManager): readonly string[] {
  return httpFilters.flatMap(({ configType }) => {
    const answer = configType.case === 'typedConfig' ? anyUnpack(configType.value, HealthCheckSchema) : undefined;
    return Object.keys(answer?.clusterMinHealthyPercentages ?? {});
  });
}

function clustersOfRoutes({ virtualHosts }: RouteConfiguration): readonly string[] {
  return virtualHosts.flatMap(({ routes }) =>
    routes.flatMap(({ action }) =>
      action.case === 'route' && action.value.clusterSpecifier.case === 'cluster'
        ? [action.value.clusterSpecifier.value]
        : [],
    ),
  );
}
