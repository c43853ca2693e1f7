import { selectsDataplane } from '../policies/core/match.ts';
import type { Kind } from '../resources/kind.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import { SERVICE_TAG } from '../resources/kinds/tags.ts';
import type { Registry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';
import { servedKinds } from './kind-traits.ts';
import { PAGE_PARAMETERS, pageOf, parseListRequest } from './list-query.ts';
import { inStage, notFound } from './problem.ts';
import { type ClientRule, type InboundPolicySpec, inboundRules, policiesFor } from './proxy-rules.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, EVERYONE, json, type Route } from './route.ts';

const TAG = 'Inspect';

interface Sources {
  readonly store: ResourceStore;
  readonly policyKinds: readonly Kind[];
}

/** Which policies select which proxies, and what they then say. Source: compatibility reference 5.2. */
export function inspectPolicyRoutes(store: ResourceStore, registry: Registry): readonly Route[] {
  const policyKinds = servedKinds(registry).filter((kind) => kind.policy);
  const sources = { store, policyKinds };
  return [...policyKinds.flatMap((kind) => policyRoutes(store, kind)), ...dataplaneRoutes(sources)];
}

function policyRoutes(store: ResourceStore, kind: Kind): readonly Route[] {
  const paths = [`/meshes/{mesh}/${kind.path}/{name}`];
  return paths.flatMap((path): Route[] => [
    // kumactl 2.11-2.14 asks with a dash where the API has an underscore; both are served.
    ...['_resources', '-resources'].map(
      (segment): Route => ({
        method: 'GET',
        path: `${path}/${segment}/dataplanes`,
        access: EVERYONE,
        document: {
          id: `list${kind.type}Dataplanes${segment === '_resources' ? '' : 'Alias'}`,
          summary: `Dataplanes that a ${kind.singularDisplayName} selects`,
          tag: TAG,
          query: PAGE_PARAMETERS,
        },
        handle: (call) => selectedDataplanes(store, kind, call),
      }),
    ),
    {
      method: 'GET',
      path: `${path}/dataplanes`,
      access: EVERYONE,
      document: {
        id: `inspect${kind.type}`,
        summary: `Dataplanes that a ${kind.singularDisplayName} selects (old form)`,
        tag: TAG,
      },
      handle: async (call) => {
        const { dataplanes } = await policyAndDataplanes(store, kind, call);
        const items = dataplanes.map(({ meta }) => ({
          kind: 'SidecarDataplane',
          dataplane: { mesh: meta.mesh, name: meta.name },
          attachments: [{ type: 'dataplane' }],
        }));
        return json({ total: items.length, items });
      },
    },
  ]);
}

function dataplaneRoutes(sources: Sources): readonly Route[] {
  const path = '/meshes/{mesh}/dataplanes/{name}';
  const route = (segment: string, id: string, summary: string, handle: Route['handle']): Route => ({
    method: 'GET',
    path: `${path}/${segment}`,
    access: EVERYONE,
    document: { id, summary, tag: TAG },
    handle,
  });
  return [
    route('policies', 'listDataplanePolicies', 'Policies that select a proxy (old form)', (call) =>
      policiesBody(sources, call),
    ),
    route('rules', 'listDataplaneRules', 'Rules that hold for a proxy (old form)', (call) =>
      oldRulesBody(sources, call),
    ),
    route('_rules', 'inspectDataplaneRules', 'Rules that hold for a proxy', (call) => rulesBody(sources, call)),
  ];
}

async function selectedDataplanes(store: ResourceStore, kind: Kind, call: Call): Promise<Answer> {
  const title = 'Could not retrieve resources';
  const request = parseListRequest(call.query, title);
  const { dataplanes } = await policyAndDataplanes(store, kind, call);
  const named = dataplanes.filter(({ meta }) => meta.name.includes(request.nameContains ?? ''));
  const page = pageOf(named, request, title);
  const next = page.next === undefined ? {} : { next: nextUrl(call, page.next) };
  return json({ total: named.length, items: page.items.map(shortMeta), ...next });
}

function nextUrl(call: Call, offset: string): string {
  const query = new URLSearchParams(call.query);
  query.set('offset', offset);
  return `${call.origin}${call.path}?${query}`;
}

async function policyAndDataplanes(store: ResourceStore, kind: Kind, call: Call) {
  const { mesh = '', name = '' } = call.params;
  await requireMesh(store, mesh);
  const title = 'Could not retrieve policy';
  return inStage(title, async () => {
    const policy = await store.get({ type: kind.type, mesh, name });
    if (!policy) throw notFound(title);
    const { items } = await store.list({ type: 'Dataplane', mesh });
    const dataplanes = (items as readonly Resource<DataplaneSpec>[]).filter((dataplane) =>
      selectsDataplane(policy as Resource<InboundPolicySpec>, dataplane),
    );
    return { policy, dataplanes };
  });
}

/** The proxy, and per policy kind every policy of its mesh. */
async function dataplaneAndPolicies({ store, policyKinds }: Sources, call: Call, title: string) {
  const { mesh = '', name = '' } = call.params;
  await requireMesh(store, mesh);
  return inStage(title, async () => {
    const dataplane = (await store.get({ type: 'Dataplane', mesh, name })) as Resource<DataplaneSpec> | undefined;
    if (!dataplane) throw notFound(title);
    const lists = await Promise.all(policyKinds.map((kind) => store.list({ type: kind.type, mesh })));
    const policies = policyKinds.map((kind, index) => ({
      kind,
      items: (lists[index]?.items ?? []) as readonly Resource<InboundPolicySpec>[],
    }));
    return { dataplane, policies };
  });
}

async function policiesBody(sources: Sources, call: Call): Promise<Answer> {
  const { dataplane, policies } = await dataplaneAndPolicies(sources, call, 'Could not get MatchedPolicies');
  const matched = policies
    .map(({ kind, items }) => [kind.type, policiesFor(dataplane, items).map(longMeta)] as const)
    .filter(([, metas]) => metas.length > 0);
  const items = matched.length === 0 ? [] : [{ type: 'dataplane', matchedPolicies: Object.fromEntries(matched) }];
  return json({ kind: 'SidecarDataplane', total: items.length, items });
}

async function oldRulesBody(sources: Sources, call: Call): Promise<Answer> {
  const { dataplane, policies } = await dataplaneAndPolicies(sources, call, 'Could not get MatchedPolicies');
  const address = dataplane.spec.networking?.address ?? '';
  const items = policies.flatMap(({ kind, items }) =>
    inboundRules(dataplane, items).flatMap(({ inbound, fromRules }) =>
      fromRules.map((rule) => ({
        type: 'ClientSubset',
        name: inbound.tags?.[SERVICE_TAG] ?? '',
        addresses: [`${inbound.address ?? address}:${inbound.port}`],
        service: inbound.tags?.[SERVICE_TAG] ?? '',
        tags: inbound.tags ?? {},
        policyType: kind.type,
        subset: Object.fromEntries(rule.matchers.map(({ key, value, not }) => [key, not ? `!${value}` : value])),
        conf: rule.conf,
        origins: rule.origin.map(({ meta }) => ({ mesh: meta.mesh, name: meta.name })),
      })),
    ),
  );
  return json({ total: items.length, items });
}

async function rulesBody(sources: Sources, call: Call): Promise<Answer> {
  const { dataplane, policies } = await dataplaneAndPolicies(sources, call, 'Could not retrieve Dataplane');
  const rules = policies.flatMap(({ kind, items }) => {
    const perInbound = inboundRules(dataplane, items);
    if (perInbound.length === 0) return [];
    const inboundBody = ({ inbound }: (typeof perInbound)[number]) => ({
      ...(inbound.name ? { name: inbound.name } : {}),
      port: inbound.port,
      tags: inbound.tags ?? {},
    });
    return [
      {
        type: kind.type,
        toRules: [],
        fromRules: perInbound
          .filter(({ fromRules }) => fromRules.length > 0)
          .map((entry) => ({ inbound: inboundBody(entry), rules: entry.fromRules.map(clientRuleBody) })),
        toResourceRules: [],
        inboundRules: perInbound
          .filter(({ entries }) => entries.length > 0)
          .map((entry) => ({
            inbound: inboundBody(entry),
            rules: entry.entries.map(({ conf, origin, ruleIndex }) => ({
              conf: [conf],
              origin: [{ resourceMeta: shortMeta(origin), ruleIndex }],
            })),
          })),
        warnings: [],
      },
    ];
  });
  return json({ httpMatches: [], resource: shortMeta(dataplane), rules });
}

function clientRuleBody(rule: ClientRule) {
  return { conf: rule.conf, matchers: rule.matchers, origin: rule.origin.map(shortMeta) };
}

function shortMeta({ type, meta }: Resource) {
  return { type, mesh: meta.mesh, name: meta.name, labels: meta.labels };
}

function longMeta({ type, meta }: Resource) {
  const { mesh, name, creationTime, modificationTime, labels } = meta;
  return { type, mesh, name, creationTime, modificationTime, labels };
}
