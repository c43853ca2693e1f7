/** The proxy's own endpoints: Envoy's admin API for the control plane, readiness for everyone. Source: Kuma 2.11 `admin_proxy_generator.go`. */
import { LOOPBACK_CIDRS } from '../../envoy/address.ts';
import { loopbackCluster } from '../../envoy/cluster.ts';
import { RESOURCE_TYPE } from '../../envoy/encode.ts';
import { staticHttp, tlsInspector } from '../../envoy/filters.ts';
import { encodeChains, listenerResource } from '../../envoy/listener.ts';
import { ADMIN_NAME, READINESS_CLUSTER } from '../../envoy/names.ts';
import { exactRoute, prefixRoute, staticRoutes } from '../../envoy/route.ts';
import { adminServerTls } from '../../envoy/tls.ts';
import { GenerateError } from '../error.ts';
import type { ResourceCollector } from '../resource-set.ts';
import { requireIp, type SidecarContext } from './context.ts';

/** Where Envoy's admin API may be: whatever else node metadata says could point anywhere. A path is a unix socket. */
const LOOPBACK: Readonly<Record<string, string>> = {
  '': '127.0.0.1',
  '127.0.0.1': '127.0.0.1',
  '0.0.0.0': '127.0.0.1',
  '::1': '::1',
  '::': '::1',
};

export function addAdmin(context: SidecarContext, out: ResourceCollector): void {
  const { metadata, networking, cache } = context;
  const { adminPort, readinessPort, adminAddress } = metadata;
  if (adminPort === 0) return;
  const api = adminAddress.startsWith('/') ? adminAddress : LOOPBACK[adminAddress];
  if (api === undefined) {
    throw new GenerateError(
      'metadata.dataplane.admin.address',
      `reach the admin API of Envoy on "${adminAddress}": only loopback addresses and unix sockets are allowed`,
    );
  }
  const pool = cache.memos.resources;
  out.add(
    RESOURCE_TYPE.cluster,
    pool.get(`admin-cluster|${api}|${adminPort}`, () => loopbackCluster(ADMIN_NAME, api, adminPort)),
  );
  if (readinessPort > 0) {
    const host = api.startsWith('/') ? '127.0.0.1' : api;
    out.add(
      RESOURCE_TYPE.cluster,
      pool.get(`readiness|${host}|${readinessPort}`, () => loopbackCluster(READINESS_CLUSTER, host, readinessPort)),
    );
  }
  const address = networking.address ?? '';
  if (isTakenByEnvoy(adminAddress, api, address)) return;
  requireIp(address, 'networking.address', 'listen for the control plane');
  const chains = cache.memos.openChains.get(`admin|${readinessPort > 0}|${metadata.ipv6Enabled}`, () =>
    adminChains(context, readinessPort > 0 ? READINESS_CLUSTER : ADMIN_NAME),
  );
  out.add(
    RESOURCE_TYPE.listener,
    pool.get(`admin|${address}|${adminPort}|${readinessPort > 0}|${metadata.ipv6Enabled}`, () =>
      listenerResource({ name: ADMIN_NAME, direction: 'inbound', address, port: adminPort, bindToPort: true }, chains),
    ),
  );
}

/**
 * True when what answers on the Dataplane's `address` is Envoy's own admin API, without TLS: proxy and control plane share a loopback address.
 * Elsewhere plain HTTP is never right: a proxy could point it at any host. Source: Kuma 2.11 `pkg/envoy/admin/client.go`.
 */
export function isAdminApiPlain({ adminAddress }: { readonly adminAddress: string }, address: string): boolean {
  return (
    (address === '127.0.0.1' || address === '::1') && isTakenByEnvoy(adminAddress, LOOPBACK[adminAddress], address)
  );
}

/** Envoy itself binds this address and port for its admin API already. */
function isTakenByEnvoy(adminAddress: string, api: string | undefined, address: string): boolean {
  return address === api || adminAddress === '0.0.0.0' || adminAddress === '::';
}

function adminChains({ metadata, cache }: SidecarContext, readyCluster: string): Uint8Array {
  const ready = exactRoute({ path: '/ready', cluster: readyCluster });
  const http = (routes: Parameters<typeof staticRoutes>[2]) =>
    staticHttp(ADMIN_NAME, staticRoutes('', ADMIN_NAME, routes), metadata.ipv6Enabled, LOOPBACK_CIDRS);
  const open = { filters: [http([ready])] };
  if (cache.adminTls === undefined) return encodeChains([open]);
  const guarded = {
    match: 'any-tls' as const,
    filters: [http([ready, prefixRoute('', '/', ADMIN_NAME)])],
    tls: adminServerTls(cache.adminTls),
  };
  return encodeChains([open, guarded], [tlsInspector()]);
}
