/**
 * Outbounds: from the application to services of the mesh. Source: Kuma 2.11 `meshhttproute`, `meshtcproute` plug-ins (what they do without a
 * policy), `core/xds/meshroute`; compatibility reference 2.2, 2.5.
 */
import { destinationCluster, type EndpointSource, isIpAddress } from '../../envoy/cluster.ts';
import { RESOURCE_TYPE } from '../../envoy/encode.ts';
import { loadAssignment, loadAssignmentResource } from '../../envoy/endpoints.ts';
import { outboundHttp, tcpProxy } from '../../envoy/filters.ts';
import { encodeChains, listenerResource } from '../../envoy/listener.ts';
import { trustMetadata } from '../../envoy/metadata.ts';
import { destinationClusterName, outboundListenerName, SERVICE_TAG } from '../../envoy/names.ts';
import { outboundRoutes } from '../../envoy/route.ts';
import { MAX_SNI_BYTES, sniOfTags } from '../../envoy/sni.ts';
import { meshClientTls } from '../../envoy/tls.ts';
import type { Endpoint, Protocol } from '../../mesh/snapshot.ts';
import type { DataplaneOutbound } from '../../resources/kinds/dataplane.ts';
import type { EncodedResource } from '../../xds-server/xds.ts';
import { memoOf, type OutboundTraits } from '../cache.ts';
import { clientConnectionAgeS } from '../connection-age.ts';
import { GenerateError } from '../error.ts';
import type { ResourceCollector } from '../resource-set.ts';
import { requireIp, type SidecarContext } from './context.ts';
import { isHttp } from './inbound.ts';

/** Adds listeners, clusters and endpoints of all outbounds, and the services they are about to `services`. */
export function addOutbounds(context: SidecarContext, out: ResourceCollector, services: Set<string>): void {
  if (!context.mesh.serviceTagOutbounds) return;
  for (const [index, outbound] of (context.networking.outbound ?? []).entries()) {
    // References to MeshServices and the like: none of them exists here, so there is nothing to listen for, as in Kuma.
    if (outbound.backendRef !== undefined) continue;
    const field = `networking.outbound[${index}]`;
    try {
      const traits = outboundTraits(context, outbound, field);
      services.add(traits.service);
      addOutbound(context, out, traits, field);
    } catch (error) {
      if (error instanceof GenerateError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new GenerateError(field, `generate listener and cluster of ${field}: ${reason}`, { cause: error });
    }
  }
}

/** Adds one that stands in no Dataplane. Throws `GenerateError`. */
export function addTaggedOutbound(context: SidecarContext, out: ResourceCollector, outbound: DataplaneOutbound): void {
  const field = `outbound to ${outbound.tags?.[SERVICE_TAG]}`;
  addOutbound(context, out, outboundTraits(context, outbound, field), field);
}

function outboundTraits({ cache }: SidecarContext, outbound: DataplaneOutbound, field: string): OutboundTraits {
  const known = cache.memos.outbounds.get(outbound);
  if (known !== undefined) return known;
  const tags = outbound.tags ?? {};
  const service = tags[SERVICE_TAG] ?? '';
  if (service === '') throw new GenerateError(`${field}.tags`, `mandatory tag "${SERVICE_TAG}" is missing`);
  const entries = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  const traits: OutboundTraits = {
    service,
    address: requireIp(outbound.address || '127.0.0.1', `${field}.address`, 'listen for outbound connections'),
    port: outbound.port,
    tags,
    subset: entries.filter(([key]) => key !== SERVICE_TAG),
    clusterName: destinationClusterName(tags),
    tagsKey: JSON.stringify(entries),
  };
  cache.memos.outbounds.set(outbound, traits);
  return traits;
}

function addOutbound(context: SidecarContext, out: ResourceCollector, traits: OutboundTraits, field: string): void {
  const view = context.snapshot.services.get(traits.service);
  const protocol = view?.protocol ?? 'tcp';
  const endpoints = view?.endpoints ?? NO_ENDPOINTS;
  const targets = healthyTargets(endpoints, traits.subset);
  if (targets.every((target) => isIpAddress(target.address))) {
    out.add(RESOURCE_TYPE.cluster, edsCluster(context, traits, protocol, field));
    out.add(RESOURCE_TYPE.endpoint, assignment(context, traits, endpoints, targets));
  } else {
    out.add(RESOURCE_TYPE.cluster, dnsCluster(context, traits, protocol, endpoints, targets, field));
  }
  out.add(RESOURCE_TYPE.listener, outboundListener(context, traits, protocol));
}

const NO_ENDPOINTS: readonly Endpoint[] = [];

/** Endpoints that take traffic and carry the wanted tags. */
function healthyTargets(endpoints: readonly Endpoint[], subset: OutboundTraits['subset']): readonly Endpoint[] {
  return endpoints.filter(
    (endpoint) => endpoint.healthy && subset.every(([key, value]) => endpoint.tags[key] === value),
  );
}

function outboundListener(context: SidecarContext, traits: OutboundTraits, protocol: Protocol): EncodedResource {
  const { redirect, metadata, cache } = context;
  const { address, port, service, clusterName } = traits;
  const key = `outbound|${address}|${port}|${protocol}|${redirect.outbound}|${metadata.ipv6Enabled}|${traits.tagsKey}`;
  return cache.memos.resources.get(key, () => {
    const filter = isHttp(protocol)
      ? outboundHttp({
          service,
          routes: outboundRoutes(service, clusterName),
          internal: { cidrs: cache.internalCidrs, ipv6Enabled: metadata.ipv6Enabled },
          isGrpc: protocol === 'grpc',
        })
      : tcpProxy(service, clusterName, 'outbound');
    return listenerResource(
      {
        name: outboundListenerName(address, port),
        direction: 'outbound',
        address,
        port,
        tags: traits.tags,
        bindToPort: !redirect.outbound,
      },
      encodeChains([{ filters: [filter] }]),
    );
  });
}

function edsCluster(
  context: SidecarContext,
  traits: OutboundTraits,
  protocol: Protocol,
  field: string,
): EncodedResource {
  return context.cache.memos.resources.get(`destination|${clusterKey(context, traits, protocol)}`, () =>
    cluster(context, traits, protocol, { kind: 'eds' }, field),
  );
}

function dnsCluster(
  context: SidecarContext,
  traits: OutboundTraits,
  protocol: Protocol,
  endpoints: readonly Endpoint[],
  targets: readonly Endpoint[],
  field: string,
): EncodedResource {
  const preferredZone = preferredZoneOf(context);
  const key = `cluster|${preferredZone ?? ''}|${clusterKey(context, traits, protocol)}`;
  return memoOf(context.cache.memos.ofEndpoints, endpoints, key, () => {
    const inline = loadAssignment(traits.clusterName, targets, { preferredZone });
    return cluster(context, traits, protocol, { kind: 'dns', assignment: inline }, field);
  });
}

function clusterKey({ mesh, clientTls }: SidecarContext, traits: OutboundTraits, protocol: Protocol): string {
  return `${mesh.tlsKey}|${clientTls(traits.service)}|${isHttp(protocol)}|${traits.tagsKey}`;
}

function cluster(
  { mesh, clientTls }: SidecarContext,
  traits: OutboundTraits,
  protocol: Protocol,
  endpoints: EndpointSource,
  field: string,
): EncodedResource {
  let tls: ReturnType<typeof meshClientTls> | undefined;
  if (clientTls(traits.service)) {
    const sni = sniOfTags(mesh.name, traits.tags);
    if (Buffer.byteLength(sni) > MAX_SNI_BYTES) {
      throw new GenerateError(
        `${field}.tags`,
        `make the TLS server name of destination "${traits.service}" out of its tags: it is longer than ${MAX_SNI_BYTES} bytes; use fewer or shorter tags`,
      );
    }
    tls = meshClientTls(mesh, [traits.service], sni);
  }
  // Bytes of a TCP connection belong together: its age is not bounded (decision 0026).
  const connectionAgeS =
    tls !== undefined && isHttp(protocol) ? clientConnectionAgeS(mesh.leafLifetimeMs, traits.clusterName) : undefined;
  const metadata = tls && trustMetadata(mesh.distrust.epoch);
  return destinationCluster({
    name: traits.clusterName,
    isHttp: isHttp(protocol),
    endpoints,
    tls,
    connectionAgeS,
    metadata,
  });
}

function assignment(
  context: SidecarContext,
  { clusterName }: OutboundTraits,
  endpoints: readonly Endpoint[],
  targets: readonly Endpoint[],
): EncodedResource {
  const preferredZone = preferredZoneOf(context);
  const make = () => loadAssignmentResource(clusterName, targets, { preferredZone });
  // Nobody answers: nothing to hang the result on, and nothing in it but the name.
  if (endpoints.length === 0) return context.cache.memos.resources.get(`no-endpoints|${clusterName}`, make);
  return memoOf(context.cache.memos.ofEndpoints, endpoints, `eds|${preferredZone ?? ''}|${clusterName}`, make);
}

function preferredZoneOf({ mesh, cache }: SidecarContext): string | undefined {
  return mesh.localityAware ? cache.zone : undefined;
}
