import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';

/** What MeshInsight and ServiceInsight need of a DataplaneInsight. */
export interface InsightView {
  readonly subscriptions?: readonly {
    readonly connectTime?: string;
    readonly disconnectTime?: string;
    readonly version?: {
      readonly kumaDp?: { readonly version?: string };
      readonly envoy?: { readonly version?: string };
    };
  }[];
  readonly mTLS?: { readonly issuedBackend?: string; readonly supportedBackends?: readonly string[] };
}

export type ProxyStatus = 'online' | 'offline' | 'partiallyDegraded';

interface Stat {
  total: number;
  online?: number;
  offline?: number;
  partiallyDegraded?: number;
}

/** Online: connected and every inbound ready. Partially degraded: connected and some are. Source: Kuma 2.11 DataplaneOverview status. */
export function proxyStatus(dataplane: DataplaneSpec, insight: InsightView | undefined): ProxyStatus {
  const connected =
    insight?.subscriptions?.some((subscription) => subscription.connectTime && !subscription.disconnectTime) ?? false;
  if (!connected) return 'offline';
  const inbounds = (dataplane.networking?.inbound ?? []).filter((inbound) => inbound.state !== 'Ignored');
  const ready = inbounds.filter((inbound) => inbound.state !== 'NotReady' && inbound.health?.ready !== false);
  if (inbounds.length === 0 || ready.length === inbounds.length) return 'online';
  return ready.length === 0 ? 'offline' : 'partiallyDegraded';
}

/**
 * Spec of the MeshInsight of one mesh (kuma-compat 2.4), without `lastSync`. Pure: equal input gives equal output.
 * `counts` is the number of resources per type in the mesh.
 */
export function buildMeshInsight(
  snapshot: MeshSnapshot,
  insights: ReadonlyMap<string, InsightView>,
  counts: ReadonlyMap<string, number>,
  policyTypes: ReadonlySet<string>,
): Record<string, unknown> {
  const all = emptyStat();
  const byType = {
    standard: emptyStat(),
    gateway: emptyStat(),
    gatewayBuiltin: emptyStat(),
    gatewayDelegated: emptyStat(),
  };
  const kumaDp = new Map<string, Stat>();
  const envoy = new Map<string, Stat>();
  const issued = new Map<string, Stat>();
  const supported = new Map<string, Stat>();
  for (const [name, dataplane] of snapshot.dataplanes) {
    const insight = insights.get(name);
    const status = proxyStatus(dataplane.spec, insight);
    const version = insight?.subscriptions?.at(-1)?.version;
    const stats = [all, ...typeStats(byType, dataplane)];
    stats.push(
      entry(kumaDp, version?.kumaDp?.version || 'unknown'),
      entry(envoy, version?.envoy?.version || 'unknown'),
    );
    if (insight?.mTLS?.issuedBackend) stats.push(entry(issued, insight.mTLS.issuedBackend));
    for (const backend of insight?.mTLS?.supportedBackends ?? []) stats.push(entry(supported, backend));
    for (const stat of stats) count(stat, status);
  }
  const present = [...counts].filter(([, total]) => total > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  const totals = (entries: [string, number][]) => Object.fromEntries(entries.map(([type, total]) => [type, { total }]));
  return {
    dataplanes: all,
    dataplanesByType: byType,
    policies: totals(present.filter(([type]) => policyTypes.has(type))),
    dpVersions: { kumaDp: sorted(kumaDp), envoy: sorted(envoy) },
    mTLS: { issuedBackends: sorted(issued), supportedBackends: sorted(supported) },
    services: { total: snapshot.services.size, internal: snapshot.services.size },
    resources: totals(present),
  };
}

/** Spec of the ServiceInsight of one mesh (its name is `all-services-<mesh>`), without `lastSync`. Pure. */
export function buildServiceInsight(
  snapshot: MeshSnapshot,
  insights: ReadonlyMap<string, InsightView>,
): Record<string, unknown> {
  interface Service {
    proxies: Set<string>;
    online: number;
    issued: Map<string, number>;
    zones: Set<string>;
    serviceType: string;
  }
  const services = new Map<string, Service>();
  for (const [name, dataplane] of snapshot.dataplanes) {
    const insight = insights.get(name);
    const status = proxyStatus(dataplane.spec, insight);
    const { inbound = [], gateway } = dataplane.spec.networking ?? {};
    const places = gateway
      ? [{ tags: gateway.tags, ready: true }]
      : inbound.map((one) => ({
          tags: one.tags,
          ready: one.state !== 'NotReady' && one.state !== 'Ignored' && one.health?.ready !== false,
        }));
    for (const { tags, ready } of places) {
      const serviceName = tags?.['kuma.io/service'];
      if (serviceName === undefined) continue;
      let service = services.get(serviceName);
      if (service === undefined) {
        const serviceType = gateway
          ? gateway.type === 'BUILTIN'
            ? 'gateway_builtin'
            : 'gateway_delegated'
          : 'internal';
        service = { proxies: new Set(), online: 0, issued: new Map(), zones: new Set(), serviceType };
        services.set(serviceName, service);
      }
      if (service.proxies.has(name)) continue;
      service.proxies.add(name);
      if (status !== 'offline' && ready) service.online += 1;
      if (tags?.['kuma.io/zone']) service.zones.add(tags['kuma.io/zone']);
      const backend = insight?.mTLS?.issuedBackend;
      if (backend) service.issued.set(backend, (service.issued.get(backend) ?? 0) + 1);
    }
  }
  return {
    services: Object.fromEntries(
      [...services]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, service]) => {
          const total = service.proxies.size;
          const offline = total - service.online;
          return [
            name,
            {
              status: service.online === total ? 'online' : service.online === 0 ? 'offline' : 'partially_degraded',
              dataplanes: {
                total,
                ...(service.online > 0 ? { online: service.online } : {}),
                ...(offline > 0 ? { offline } : {}),
              },
              ...(service.issued.size > 0
                ? { issuedBackends: Object.fromEntries([...service.issued].sort(([a], [b]) => (a < b ? -1 : 1))) }
                : {}),
              serviceType: service.serviceType,
              ...(service.zones.size > 0 ? { zones: [...service.zones].sort() } : {}),
            },
          ];
        }),
    ),
  };
}

function emptyStat(): Stat {
  return { total: 0 };
}

function count(stat: Stat, status: ProxyStatus): void {
  stat.total += 1;
  stat[status] = (stat[status] ?? 0) + 1;
}

function entry(map: Map<string, Stat>, name: string): Stat {
  let stat = map.get(name);
  if (stat === undefined) {
    stat = emptyStat();
    map.set(name, stat);
  }
  return stat;
}

function sorted(map: ReadonlyMap<string, Stat>): Record<string, Stat> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function typeStats(
  byType: { standard: Stat; gateway: Stat; gatewayBuiltin: Stat; gatewayDelegated: Stat },
  dataplane: Resource<DataplaneSpec>,
): Stat[] {
  const gateway = dataplane.spec.networking?.gateway;
  if (gateway === undefined) return [byType.standard];
  return [byType.gateway, gateway.type === 'BUILTIN' ? byType.gatewayBuiltin : byType.gatewayDelegated];
}
