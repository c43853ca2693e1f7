/** Catch-all listeners of transparent proxying. Source: Kuma 2.11 `transparent_proxy_generator.go`. */
import { passthroughCluster, passthroughSource } from '../../envoy/cluster.ts';
import { RESOURCE_TYPE } from '../../envoy/encode.ts';
import { tcpProxy } from '../../envoy/filters.ts';
import { encodeChains, listenerResource } from '../../envoy/listener.ts';
import type { ResourceCollector } from '../resource-set.ts';
import type { SidecarContext } from './context.ts';

/**
 * What is redirected and has no listener of its own. With pass-through off in the Mesh the outbound listener stays, but its cluster is not
 * there: such connections are closed.
 */
export function addPassthrough(context: SidecarContext, out: ResourceCollector): void {
  const { redirect } = context;
  if (redirect.outboundPort === 0) return;
  addFamily(context, out, 'ipv4', '0.0.0.0');
  if (redirect.ipv6) addFamily(context, out, 'ipv6', '::');
}

function addFamily(context: SidecarContext, out: ResourceCollector, family: 'ipv4' | 'ipv6', address: string): void {
  const { redirect, mesh, cache } = context;
  const pool = cache.memos.resources;
  const outbound = `outbound:passthrough:${family}`;
  const inbound = `inbound:passthrough:${family}`;
  if (mesh.passthrough) {
    out.add(
      RESOURCE_TYPE.cluster,
      pool.get(outbound, () => passthroughCluster({ name: outbound })),
    );
  }
  out.add(
    RESOURCE_TYPE.cluster,
    pool.get(inbound, () => passthroughCluster({ name: inbound, sourceAddress: passthroughSource(address) })),
  );
  for (const direction of ['outbound', 'inbound'] as const) {
    const name = direction === 'outbound' ? outbound : inbound;
    const port = direction === 'outbound' ? redirect.outboundPort : redirect.inboundPort;
    if (port === 0) continue;
    out.add(
      RESOURCE_TYPE.listener,
      pool.get(`${name}|${port}`, () =>
        listenerResource(
          { name, direction, address, port, bindToPort: true, useOriginalDst: true },
          encodeChains([{ filters: [tcpProxy(name, name)] }]),
        ),
      ),
    );
  }
}
