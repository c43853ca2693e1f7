/** Virtual probes (deprecated in Kuma): health checks of the application through the proxy. Source: Kuma 2.11 `probe_generator.go`. */
import { LOOPBACK_CIDRS } from '../../envoy/address.ts';
import { passthroughSource, probedCluster } from '../../envoy/cluster.ts';
import { RESOURCE_TYPE } from '../../envoy/encode.ts';
import { type HealthAnswer, staticHttp } from '../../envoy/filters.ts';
import { encodeChains, listenerResource } from '../../envoy/listener.ts';
import { localClusterName, PROBE_LISTENER, probedClusterName } from '../../envoy/names.ts';
import { exactRoute, redirectRoute, staticRoutes } from '../../envoy/route.ts';
import type { DataplaneSpec } from '../../resources/kinds/dataplane.ts';
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
  const address = requireIp(networking.address ?? '', 'networking.address', 'listen for probes');
  const answers: HealthAnswer[] = [];
  const routes = (probes.endpoints ?? []).flatMap((endpoint, index) => {
    const asked = askedByEnvoy(endpoint);
    if (asked !== undefined) {
      const { path, port, check } = asked;
      const cluster = probedClusterName(check.protocol, port, check.protocol === 'grpc' ? check.service : '');
      const sourceAddress = redirect.inbound ? passthroughSource(address) : undefined;
      out.add(RESOURCE_TYPE.cluster, probedCluster({ name: cluster, address, port, check, sourceAddress }));
      answers.push({ path, cluster });
      return [];
    }
    const path = pathOf(endpoint.path, `probes.endpoints[${index}].path`);
    const inboundPath = pathOf(endpoint.inboundPath, `probes.endpoints[${index}].inboundPath`);
    const port = endpoint.inboundPort ?? 0;
    return ports.has(port)
      ? [exactRoute({ path, rewrite: inboundPath, cluster: localClusterName(port), onlyGet: true })]
      : [redirectRoute(path, port, inboundPath)];
  });
  out.add(
    RESOURCE_TYPE.listener,
    listenerResource(
      {
        name: PROBE_LISTENER,
        direction: 'inbound',
        address,
        port: probes.port,
        bindToPort: !redirect.inbound,
      },
      encodeChains([
        {
          filters: [
            staticHttp(PROBE_LISTENER, staticRoutes(ROUTES, VIRTUAL_HOST, routes), true, LOOPBACK_CIDRS, answers),
          ],
        },
      ]),
    ),
  );
}

type Endpoint = NonNullable<NonNullable<DataplaneSpec['probes']>['endpoints']>[number];

/**
 * Probes that are not HTTP, as the injector writes them: `/tcp/<port>` and `/grpc/<port>[/<service>]`, with the same path on both sides. Envoy asks
 * the application over TCP or gRPC, and answers for it. `undefined`: an HTTP probe.
 */
function askedByEnvoy({ path, inboundPath, inboundPort = 0 }: Endpoint) {
  const [, protocol, port, service = ''] = /^\/(tcp|grpc)\/(\d+)(?:\/([^/]+))?$/.exec(path ?? '') ?? [];
  if (path === undefined || path !== inboundPath || Number(port) !== inboundPort) return undefined;
  if (protocol === 'tcp') return { path, port: inboundPort, check: { protocol } as const };
  return { path, port: inboundPort, check: { protocol: 'grpc', service: decodeURIComponent(service) } as const };
}

function pathOf(url: string | undefined, field: string): string {
  const parsed = URL.parse(url ?? '', 'http://probe');
  if (parsed === null) throw new GenerateError(field, `read probe path "${url}": it is not a valid path`);
  return parsed.pathname;
}
