/**
 * Outbounds of services by their addresses, on Kubernetes: `<ClusterIP>:<port>`, or each endpoint of a headless Service. They are the same for
 * every proxy of a mesh with the same reach, so they are made once for all of them. Source: Kuma 2.11 `outbound_converter.go`, `vips`.
 */
import { isIPv6 } from 'node:net';
import { isIpAddress } from '../../envoy/cluster.ts';
import { destinationClusterName, hostPort, outboundListenerName, SERVICE_TAG } from '../../envoy/names.ts';
import type { DataplaneOutbound } from '../../resources/kinds/dataplane.ts';
import type { ResourceSet } from '../../xds-server/xds.ts';
import { GenerateError } from '../error.ts';
import { createResourceCollector, type ResourceCollector } from '../resource-set.ts';
import type { SidecarContext } from './context.ts';
import { addTaggedOutbound } from './outbound.ts';

const INSTANCE_TAG = 'kuma.io/instance';

/** What proxies of the same reach share. */
export interface VipOutbounds {
  readonly resources: ResourceSet;
  /** Names of resources by the address they stand for, of headless services: an endpoint has none for itself. */
  readonly ofEndpoint: ReadonlyMap<string, readonly string[]>;
  /** `host:port` of every listener. */
  readonly places: ReadonlySet<string>;
}

/** The last result of one reach, and what it was made from. */
export interface VipMemo {
  made: { from: readonly unknown[]; outbounds: VipOutbounds } | undefined;
}

/**
 * Adds them when outgoing traffic is redirected: nobody else gets connections for addresses that are not its own. Returns the services whose
 * endpoints are in it, and the taken `host:port`s.
 */
export function addVipOutbounds(
  context: SidecarContext,
  out: ResourceCollector,
): { services: ReadonlySet<string> | 'all'; places: ReadonlySet<string> } {
  const { networking, redirect, snapshot, mesh } = context;
  if (!redirect.outbound || redirect.outboundPort === 0 || !mesh.serviceTagOutbounds || snapshot.vips.size === 0) {
    return { services: new Set(), places: new Set() };
  }
  const reachable = networking.transparentProxying?.reachableServices ?? [];
  const outbounds = sharedOutbounds(context, reachable);
  out.share(outbounds.resources, outbounds.ofEndpoint.get(networking.address ?? '') ?? []);
  return { services: reachable.length === 0 ? 'all' : new Set(reachable), places: outbounds.places };
}

function sharedOutbounds(context: SidecarContext, reachable: readonly string[]): VipOutbounds {
  const { cache, mesh, snapshot, clientTls } = context;
  const services = servicesOf(context, reachable);
  // Only in PERMISSIVE mode do clients of one mesh differ in whom they speak TLS to.
  const plain = mesh.mtls === 'PERMISSIVE' ? services.filter((service) => !clientTls(service)).join(' ') : '';
  const memo = cache.memos.vips.get(`${mesh.key}|${hasIpv6(context)}|${reachable.join(' ')}|${plain}`, () => ({
    made: undefined,
  }));
  const from = [snapshot.services, snapshot.vips];
  const { made } = memo;
  if (made?.from.every((part, index) => part === from[index]) === true) return made.outbounds;
  const outbounds = makeOutbounds(context, services, made?.outbounds.resources);
  memo.made = { from, outbounds };
  return outbounds;
}

function servicesOf({ snapshot }: SidecarContext, reachable: readonly string[]): readonly string[] {
  const { vips } = snapshot;
  return (reachable.length === 0 ? [...vips.keys()] : reachable.filter((service) => vips.has(service))).sort();
}

function hasIpv6({ redirect, metadata }: SidecarContext): boolean {
  return redirect.ipv6 && metadata.ipv6Enabled;
}

function makeOutbounds(
  context: SidecarContext,
  services: readonly string[],
  previous: ResourceSet | undefined,
): VipOutbounds {
  const out = createResourceCollector(context.cache.memos.layers);
  const places = new Set<string>();
  const ofEndpoint = new Map<string, string[]>();
  for (const service of services) {
    for (const outbound of outboundsOf(context, service)) {
      const { address = '', port } = outbound;
      const place = hostPort(address, port);
      // Two headless Services before the same Pod: the first by name has the place.
      if (places.has(place) || (isIPv6(address) && !hasIpv6(context)) || !add(context, out, outbound)) continue;
      places.add(place);
      if (outbound.tags?.[INSTANCE_TAG] === undefined) continue;
      const names = [outboundListenerName(address, port), destinationClusterName(outbound.tags)];
      ofEndpoint.set(address, [...(ofEndpoint.get(address) ?? []), ...names]);
    }
  }
  return { resources: out.finish(previous), ofEndpoint, places };
}

/** False for one that cannot be: a name that fits no TLS server name must not take everybody else's outbounds away. */
function add(context: SidecarContext, out: ResourceCollector, outbound: DataplaneOutbound): boolean {
  try {
    addTaggedOutbound(context, out, outbound);
    return true;
  } catch (error) {
    if (error instanceof GenerateError) return false;
    throw error;
  }
}

function outboundsOf({ snapshot }: SidecarContext, service: string): readonly DataplaneOutbound[] {
  const vip = snapshot.vips.get(service);
  const tags = { [SERVICE_TAG]: service };
  if (vip === undefined) return [];
  if (vip.kind === 'addresses') return vip.addresses.map((address) => ({ address, port: vip.port, tags }));
  return (snapshot.services.get(service)?.endpoints ?? [])
    .filter((endpoint) => isIpAddress(endpoint.address))
    .flatMap(({ address, port, tags: { [INSTANCE_TAG]: instance } }) =>
      instance === undefined ? [] : [{ address, port, tags: { ...tags, [INSTANCE_TAG]: instance } }],
    );
}
