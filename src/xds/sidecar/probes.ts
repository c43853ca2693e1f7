/** Virtual probes (deprecated in Kuma): health checks of the application through the proxy. Source: Kuma 2.11 `probe_generator.go`. */
import { LOOPBACK_CIDRS } from '../../envoy/address.ts';
import { RESOURCE_TYPE } from '../../envoy/encode.ts';
import { staticHttp } from '../../envoy/filters.ts';
import { encodeChains, listenerResource } from '../../envoy/listener.ts';
import { localClusterName, PROBE_LISTENER } from '../../envoy/names.ts';
import { exactRoute, redirectRoute, staticRoutes } from '../../envoy/route.ts';
import { GenerateError } from '../error.ts';
import type { ResourceCollector } from '../resource-set.ts';
import { requireIp, type SidecarContext } from './context.ts';

const VIRTUAL_HOST = 'probe';
const ROUTES = 'probe:route_configuration';

/** Plain HTTP: who probes is not in the mesh. A probe of a port without an inbound is redirected to that port. */
export function addProbes(context: SidecarContext, out: ResourceCollector): void {
  const { dataplane, networking, redirect, metadata } = context;
  const { probes } = dataplane.spec;
  if (probes === undefined || !probes.port || metadata.appProbeProxyEnabled === true) return;
  const ports = new Set((networking.inbound ?? []).map((inbound) => inbound.servicePort || inbound.port));
  const routes = (probes.endpoints ?? []).map((endpoint, index) => {
    const path = pathOf(endpoint.path, `probes.endpoints[${index}].path`);
    const inboundPath = pathOf(endpoint.inboundPath, `probes.endpoints[${index}].inboundPath`);
    const port = endpoint.inboundPort ?? 0;
    return ports.has(port)
      ? exactRoute({ path, rewrite: inboundPath, cluster: localClusterName(port), onlyGet: true })
      : redirectRoute(path, port, inboundPath);
  });
  out.add(
    RESOURCE_TYPE.listener,
    listenerResource(
      {
        name: PROBE_LISTENER,
        direction: 'inbound',
        address: requireIp(networking.address ?? '', 'networking.address', 'listen for probes'),
        port: probes.port,
        bindToPort: !redirect.inbound,
      },
      encodeChains([
        { filters: [staticHttp(PROBE_LISTENER, staticRoutes(ROUTES, VIRTUAL_HOST, routes), true, LOOPBACK_CIDRS)] },
      ]),
    ),
  );
}

function pathOf(url: string | undefined, field: string): string {
  const parsed = URL.parse(url ?? '', 'http://probe');
  if (parsed === null) throw new GenerateError(field, `read probe path "${url}": it is not a valid path`);
  return parsed.pathname;
}
