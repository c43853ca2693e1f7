/** Straight to single instances, by their address, with mTLS. Source: Kuma 2.11 `direct_access_proxy_generator.go`. */
import { isIpAddress, passthroughCluster } from '../../envoy/cluster.ts';
import { RESOURCE_TYPE } from '../../envoy/encode.ts';
import { tcpProxy } from '../../envoy/filters.ts';
import { encodeChains, listenerResource } from '../../envoy/listener.ts';
import { trustMetadata } from '../../envoy/metadata.ts';
import { DIRECT_ACCESS_CLUSTER, hostPort } from '../../envoy/names.ts';
import { meshClientTls } from '../../envoy/tls.ts';
import type { Endpoint } from '../../mesh/snapshot.ts';
import type { ResourceCollector } from '../resource-set.ts';
import type { SidecarContext } from './context.ts';

/** Adds a listener for each instance of `directAccessServices` that is at none of the `places` (`host:port`). Returns the services it looked at. */
export function addDirectAccess(
  context: SidecarContext,
  out: ResourceCollector,
  places: ReadonlySet<string>,
): readonly string[] | 'all' {
  const { networking, redirect, mesh, cache } = context;
  const wanted = networking.transparentProxying?.directAccessServices ?? [];
  if (!redirect.inbound || wanted.length === 0) return [];
  const pool = cache.memos.resources;
  out.add(
    RESOURCE_TYPE.cluster,
    pool.get(`direct-access|${mesh.tlsKey}`, () =>
      passthroughCluster({
        name: DIRECT_ACCESS_CLUSTER,
        ...(mesh.mtls === 'off'
          ? {}
          : { tls: meshClientTls(mesh, [], ''), metadata: trustMetadata(mesh.distrust.epoch) }),
      }),
    ),
  );
  const taken = new Set((networking.outbound ?? []).map((one) => hostPort(one.address || '127.0.0.1', one.port)));
  for (const { address, port } of instances(context, wanted)) {
    const place = hostPort(address, port);
    if (taken.has(place) || places.has(place)) continue;
    taken.add(place);
    const name = `direct_access_${address}:${port}`;
    out.add(
      RESOURCE_TYPE.listener,
      pool.get(name, () =>
        listenerResource(
          { name, direction: 'outbound', address, port, bindToPort: false },
          encodeChains([{ filters: [tcpProxy(name, DIRECT_ACCESS_CLUSTER)] }]),
        ),
      ),
    );
  }
  return wanted.includes('*') ? 'all' : wanted;
}

/** Instances of others, healthy or not: who names an instance wants that one. */
function instances({ snapshot, dataplane }: SidecarContext, wanted: readonly string[]): readonly Endpoint[] {
  const views = wanted.includes('*')
    ? [...snapshot.services.values()]
    : wanted.flatMap((service) => snapshot.services.get(service) ?? []);
  return views
    .flatMap((view) => view.endpoints)
    .filter((endpoint) => endpoint.dataplane !== dataplane.meta.name && isIpAddress(endpoint.address));
}
