import type { DataplaneStat, MeshInsightSpec } from '../resources/kinds/mesh-insight.ts';
import type { ServiceInsightSpec } from '../resources/kinds/service-insight.ts';
import type { Registry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';
import { servedKinds } from './kind-traits.ts';
import { inStage } from './problem.ts';
import { EVERYONE, json, type Route } from './route.ts';

const TAG = 'Insights';

/** Sums over the whole control plane. Source: compatibility reference 5.2. */
export function globalInsightRoutes(options: {
  readonly store: ResourceStore;
  readonly registry: Registry;
  /** Epoch ms. */
  readonly now: () => number;
}): readonly Route[] {
  const { store, registry, now } = options;
  const title = 'Could not retrieve GlobalInsight';
  return [
    {
      method: 'GET',
      path: '/global-insight',
      access: EVERYONE,
      document: { id: 'getGlobalInsight', summary: 'Numbers of everything', tag: TAG },
      handle: () =>
        inStage(title, async () => {
          const [meshes, services, zones, counts] = await Promise.all([
            store.list({ type: 'MeshInsight' }),
            store.list({ type: 'ServiceInsight' }),
            store.list({ type: 'Zone' }),
            store.count(),
          ]);
          const zoneInsights = registry.byType('ZoneInsight')
            ? await store.list({ type: 'ZoneInsight' })
            : { items: [] };
          return json({
            createdAt: new Date(now()).toISOString(),
            ...globalInsight(
              meshes.items as readonly Resource<MeshInsightSpec>[],
              services.items as readonly Resource<ServiceInsightSpec>[],
            ),
            resources: resourceTotals(
              meshes.items as readonly Resource<MeshInsightSpec>[],
              globalCounts(registry, counts),
            ),
            zones: {
              controlPlanes: { online: zoneInsights.items.filter(isConnected).length, total: zones.total },
              zoneEgresses: { online: 0, total: counts.get('ZoneEgress') ?? 0 },
              zoneIngresses: { online: 0, total: counts.get('ZoneIngress') ?? 0 },
            },
          });
        }),
    },
    {
      method: 'GET',
      path: '/global-insights',
      access: EVERYONE,
      document: { id: 'getGlobalInsights', summary: 'Number of global resources (old form)', tag: TAG },
      handle: () =>
        inStage('Could not retrieve global insights', async () => {
          const counts = await store.count();
          const kinds = servedKinds(registry).filter(
            (kind) => kind.scope === 'Global' && !kind.type.endsWith('Insight'),
          );
          const resources = Object.fromEntries(kinds.map(({ type }) => [type, { total: counts.get(type) ?? 0 }]));
          return json({ type: 'GlobalInsights', creationTime: new Date(now()).toISOString(), resources });
        }),
    },
    {
      method: 'GET',
      path: '/status/zones',
      access: EVERYONE,
      document: { id: 'getZoneStatus', summary: 'Zones and whether they are connected', tag: TAG },
      handle: () =>
        inStage('Could not retrieve a zone', async () => {
          const { items } = await store.list({ type: 'Zone' });
          const insights = registry.byType('ZoneInsight') ? (await store.list({ type: 'ZoneInsight' })).items : [];
          const online = new Set(insights.filter(isConnected).map((insight) => insight.meta.name));
          return json(items.map(({ meta }) => ({ name: meta.name, active: online.has(meta.name) })));
        }),
    },
  ];
}

/** Types that `/global-insight` counts by itself: global ones that are not insights, not for admins only, and not shown elsewhere in it. */
function globalCounts(registry: Registry, counts: ReadonlyMap<string, number>): readonly [string, number][] {
  const shownElsewhere = ['Mesh', 'Zone', 'ZoneIngress', 'ZoneEgress'];
  return servedKinds(registry)
    .filter((kind) => kind.scope === 'Global' && kind.access === 'everyone')
    .filter(({ type }) => !type.endsWith('Insight') && !shownElsewhere.includes(type))
    .map(({ type }) => [type, counts.get(type) ?? 0]);
}

function resourceTotals(
  meshes: readonly Resource<MeshInsightSpec>[],
  globals: readonly [string, number][],
): Record<string, { total: number }> {
  const totals = new Map(globals);
  for (const { spec } of meshes) {
    for (const [type, { total = 0 }] of Object.entries(spec.resources ?? {}))
      totals.set(type, (totals.get(type) ?? 0) + total);
  }
  const present = [...totals].filter(([, total]) => total > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(present.map(([type, total]) => [type, { total }]));
}

function globalInsight(
  meshes: readonly Resource<MeshInsightSpec>[],
  services: readonly Resource<ServiceInsightSpec>[],
) {
  const byType = (name: 'standard' | 'gatewayBuiltin' | 'gatewayDelegated') =>
    sumStats(meshes.map(({ spec }) => spec.dataplanesByType?.[name] ?? {}));
  const all = services.flatMap(({ spec }) => Object.values(spec.services ?? {}));
  const ofType = (type: string) => all.filter((service) => (service.serviceType ?? 'internal') === type);
  const statuses = (type: string) => {
    const some = ofType(type);
    const withStatus = (status: string) => some.filter((service) => service.status === status).length;
    return {
      online: withStatus('online'),
      offline: withStatus('offline'),
      partiallyDegraded: withStatus('partially_degraded'),
      total: some.length,
    };
  };
  const policies = meshes.flatMap(({ spec }) => Object.values(spec.policies ?? {}));
  return {
    dataplanes: {
      gatewayBuiltin: byType('gatewayBuiltin'),
      gatewayDelegated: byType('gatewayDelegated'),
      standard: byType('standard'),
    },
    meshes: { total: meshes.length },
    policies: { total: policies.reduce((sum, { total = 0 }) => sum + total, 0) },
    services: {
      external: { total: ofType('external').length },
      gatewayBuiltin: statuses('gateway_builtin'),
      gatewayDelegated: statuses('gateway_delegated'),
      internal: statuses('internal'),
    },
  };
}

function sumStats(stats: readonly DataplaneStat[]) {
  const sum = (name: keyof DataplaneStat) => stats.reduce((total, stat) => total + (stat[name] ?? 0), 0);
  return {
    online: sum('online'),
    offline: sum('offline'),
    partiallyDegraded: sum('partiallyDegraded'),
    total: sum('total'),
  };
}

/** True when the last subscription of an insight has no end. */
function isConnected({ spec }: Resource): boolean {
  const { subscriptions = [] } = spec as {
    subscriptions?: readonly { connectTime?: string; disconnectTime?: string }[];
  };
  const last = subscriptions.at(-1);
  return last !== undefined && !last.disconnectTime;
}
