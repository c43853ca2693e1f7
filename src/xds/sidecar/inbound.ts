/** Inbounds: from other proxies to the application. Source: Kuma 2.11 `inbound_proxy_generator.go`; compatibility reference 2.2. */
import { localCluster, passthroughSource, type UpstreamHttp } from '../../envoy/cluster.ts';
import { joinParts, RESOURCE_TYPE } from '../../envoy/encode.ts';
import { type FilterInit, inboundHttp, networkRbacFilter, tcpProxy, tlsInspector } from '../../envoy/filters.ts';
import { type Chain, encodeChains, encodeListener, joinListener } from '../../envoy/listener.ts';
import { trustMetadata } from '../../envoy/metadata.ts';
import { inboundListenerName, localClusterName } from '../../envoy/names.ts';
import { networkRbacStats } from '../../envoy/rbac.ts';
import { inboundRoutes } from '../../envoy/route.ts';
import { meshServerTls } from '../../envoy/tls.ts';
import { parseProtocol } from '../../mesh/protocol.ts';
import type { Protocol } from '../../mesh/snapshot.ts';
import type { InboundPermissions } from '../../policies/mesh-traffic-permission/rules.ts';
import type { DataplaneInbound } from '../../resources/kinds/dataplane.ts';
import type { EncodedResource } from '../../xds-server/xds.ts';
import type { InboundMemo } from '../cache.ts';
import { serverConnectionAgeS } from '../connection-age.ts';
import { GenerateError } from '../error.ts';
import { createRecentMap } from '../intern-pool.ts';
import type { ResourceCollector } from '../resource-set.ts';
import { requireIp, type SidecarContext } from './context.ts';
import { inboundPermissions, rbacBytes } from './permissions.ts';

/** Port of an inbound that stands for "no Service". Source: Kuma 2.11 `TCPPortReserved`. */
const NO_SERVICE_PORT = 49151;
/** Inbound shapes under one set of permissions: service, port and protocol. */
const SHAPES = 1024;

/** One inbound with every default filled in. */
interface Inbound {
  readonly service: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  readonly workloadAddress: string;
  readonly workloadPort: number;
}

export function addInbounds(context: SidecarContext, out: ResourceCollector): void {
  for (const [index, inbound] of (context.networking.inbound ?? []).entries()) {
    if (inbound.port === NO_SERVICE_PORT) continue;
    const { cluster, listener } = inboundResources(context, inbound, `networking.inbound[${index}]`);
    out.add(RESOURCE_TYPE.cluster, cluster);
    out.add(RESOURCE_TYPE.listener, listener);
  }
}

/** The inbound's cluster and listener; those of the last time when nothing they depend on changed. */
function inboundResources(context: SidecarContext, spec: DataplaneInbound, field: string): InboundMemo {
  const { mesh, metadata, networking, redirect, cache } = context;
  const permissions = mesh.mtls === 'off' ? undefined : inboundPermissions(context, spec);
  const key = `${networking.address}|${redirect.inbound}`;
  const chainsKey = `${mesh.tlsKey}|${metadata.ipv6Enabled}`;
  const before = cache.memos.inbounds.get(spec);
  if (before?.key === key && before.chainsKey === chainsKey && before.permissions === permissions) return before;
  try {
    const inbound = completeInbound(context, spec, field);
    const name = inboundListenerName(inbound.address, inbound.port);
    const ownPart = before?.key === key ? before.ownPart : listenerOwnPart(context, inbound, name);
    const memo: InboundMemo = {
      key,
      chainsKey,
      permissions,
      cluster: before?.key === key ? before.cluster : workloadCluster(context, inbound),
      listener: joinListener(name, ownPart, inboundChains(context, inbound, name, permissions)),
      ownPart,
    };
    // What people look at with shadow policies on is not what the proxy has.
    if (!context.shadow) cache.memos.inbounds.set(spec, memo);
    return memo;
  } catch (error) {
    if (error instanceof GenerateError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new GenerateError(field, `generate listener and cluster of ${field}: ${reason}`, { cause: error });
  }
}

function completeInbound({ networking }: SidecarContext, spec: DataplaneInbound, field: string): Inbound {
  const ownAddress = spec.address || undefined;
  const address = requireIp(
    ownAddress ?? networking.address ?? '',
    ownAddress === undefined ? 'networking.address' : `${field}.address`,
    'listen for inbound connections',
  );
  return {
    service: spec.tags?.['kuma.io/service'] || 'unknown',
    tags: spec.tags ?? {},
    protocol: parseProtocol(spec.tags?.['kuma.io/protocol']),
    address,
    port: spec.port,
    workloadAddress: requireIp(spec.serviceAddress || address, `${field}.serviceAddress`, 'reach the application'),
    workloadPort: spec.servicePort || spec.port,
  };
}

const UPSTREAM_HTTP: Readonly<Record<Protocol, UpstreamHttp>> = {
  http: 'http1',
  http2: 'http2',
  grpc: 'http2',
  tcp: 'none',
  kafka: 'none',
};

function workloadCluster({ redirect }: SidecarContext, inbound: Inbound): EncodedResource {
  const { workloadAddress: address } = inbound;
  const viaRedirect = redirect.inbound && address !== '127.0.0.1' && address !== '::1';
  return localCluster({
    name: localClusterName(inbound.workloadPort),
    address,
    port: inbound.workloadPort,
    http: UPSTREAM_HTTP[inbound.protocol],
    sourceAddress: viaRedirect ? passthroughSource(address) : undefined,
  });
}

function listenerOwnPart({ redirect }: SidecarContext, inbound: Inbound, name: string): Uint8Array {
  return encodeListener({
    name,
    direction: 'inbound',
    address: inbound.address,
    port: inbound.port,
    tags: inbound.tags,
    bindToPort: !redirect.inbound,
  });
}

/** Chains that depend on the listener's name (TCP has it in its RBAC statistics) are made for it; all others are shared. */
function inboundChains(
  context: SidecarContext,
  inbound: Inbound,
  listener: string,
  permissions: InboundPermissions | undefined,
): Uint8Array {
  const { memos } = context.cache;
  const { mesh, metadata } = context;
  const shape = `${mesh.tlsKey}|${inbound.protocol}|${inbound.workloadPort}|${metadata.ipv6Enabled}|${inbound.service}`;
  const make = () => encodeChains(chainsOf(context, inbound, listener, permissions), listenerFiltersOf(context));
  if (permissions === undefined) return memos.openChains.get(shape, make);
  if (!isHttp(inbound.protocol)) return make();
  let chains = memos.guardedChains.get(permissions);
  if (chains === undefined) {
    chains = createRecentMap(SHAPES);
    memos.guardedChains.set(permissions, chains);
  }
  return chains.get(shape, make);
}

function listenerFiltersOf({ mesh }: SidecarContext): ReturnType<typeof tlsInspector>[] {
  return mesh.mtls === 'PERMISSIVE' ? [tlsInspector()] : [];
}

/**
 * STRICT: mesh TLS only. PERMISSIVE: plain text and the application's own TLS pass as they are, mesh TLS (ALPN `kuma`) is terminated.
 * Permissions hold where there is an identity to check: on mesh TLS.
 */
function chainsOf(
  context: SidecarContext,
  inbound: Inbound,
  listener: string,
  permissions: InboundPermissions | undefined,
): readonly Chain[] {
  const { mesh, cache } = context;
  const open = () => [applicationFilter(context, inbound)];
  if (mesh.mtls === 'off' || permissions === undefined) return [{ filters: open() }];
  const guarded: Chain = {
    filters: guardedFilters(context, inbound, listener, permissions),
    tls: cache.memos.sockets.get(`server|${mesh.name}|${mesh.identityFrom}`, () => meshServerTls(mesh)),
    metadata: trustMetadata(mesh.distrust.epoch),
  };
  if (mesh.mtls === 'STRICT') return [guarded];
  return [
    { match: 'plain-text', filters: open() },
    { match: 'any-tls', filters: open() },
    { ...guarded, match: 'mesh-tls' },
  ];
}

/** HTTP checks permissions on each request, everything else once per connection. */
function guardedFilters(
  context: SidecarContext,
  inbound: Inbound,
  listener: string,
  permissions: InboundPermissions,
): readonly FilterInit[] {
  const { mesh, cache } = context;
  if (isHttp(inbound.protocol)) {
    const rbac = rbacBytes(cache.memos, mesh, permissions, 'http');
    return [applicationFilter(context, inbound, { rbac, connectionAgeS: serverConnectionAgeS(mesh.leafLifetimeMs) })];
  }
  const rbac = rbacBytes(cache.memos, mesh, permissions, 'network');
  return [networkRbacFilter(joinParts(rbac, networkRbacStats(listener))), applicationFilter(context, inbound)];
}

/** `guard`: what holds on mesh TLS only. */
function applicationFilter(
  context: SidecarContext,
  inbound: Inbound,
  guard?: { readonly rbac: Uint8Array; readonly connectionAgeS: number },
): FilterInit {
  const cluster = localClusterName(inbound.workloadPort);
  if (!isHttp(inbound.protocol)) {
    return context.cache.memos.filters.get(`tcp|${cluster}`, () => tcpProxy(cluster, cluster, 'inbound'));
  }
  return inboundHttp({
    cluster,
    routes: inboundRoutes(inbound.service, cluster),
    internal: { cidrs: context.cache.internalCidrs, ipv6Enabled: context.metadata.ipv6Enabled },
    isGrpc: inbound.protocol === 'grpc',
    rbac: guard?.rbac,
    connectionAgeS: guard?.connectionAgeS,
  });
}

/** Spoken to as HTTP: requests are seen one by one. */
export function isHttp(protocol: Protocol): boolean {
  return protocol === 'http' || protocol === 'http2' || protocol === 'grpc';
}
