import type { Tokens } from '../auth/tokens.ts';
import { meshKind } from '../resources/kinds/mesh.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { Registry } from '../resources/registry.ts';
import type { ResourceStore } from '../store/store.ts';
import { caRotationRoutes } from './ca-rotation-routes.ts';
import type { CaRotations } from './ca-rotations.ts';
import { certificateRoutes } from './certificate-routes.ts';
import type { CertificateSource } from './certificate-source.ts';
import { distrustRoutes } from './distrust-routes.ts';
import type { DistrustSource } from './distrust-source.ts';
import { globalInsightRoutes } from './global-insight.ts';
import { indexRoutes } from './index-routes.ts';
import { inspectPolicyRoutes } from './inspect-policy-routes.ts';
import { inspectProxyRoutes } from './inspect-proxy-routes.ts';
import type { InspectSource } from './inspect-source.ts';
import { kindAccess, servedKinds } from './kind-traits.ts';
import { kriRoutes } from './kri-routes.ts';
import type { InstanceInfo, MeshLifecycle, SecretLifecycle } from './lifecycle.ts';
import { mtlsRoutes } from './mtls-routes.ts';
import { openApiDocument } from './openapi.ts';
import { type OwnState, ownStateRoutes } from './own-state-routes.ts';
import type { DeleteScope } from './owned.ts';
import { rehearsalRoutes } from './rehearsal-routes.ts';
import type { RehearsalSource } from './rehearsal-source.ts';
import { renewalRoutes } from './renewal-routes.ts';
import { readRoutes } from './resource-read-routes.ts';
import { writeRoutes } from './resource-write-routes.ts';
import { type JsonSchema, json, type Route, type RouteAccess } from './route.ts';
import { serviceInsightRoutes } from './service-insight-routes.ts';
import { tokenRoutes } from './token-routes.ts';

/** What the API stands on. */
export interface RestSources {
  readonly store: ResourceStore;
  readonly registry: Registry;
  readonly tokens: Pick<Tokens, 'issueDataplane' | 'issueZone' | 'issueUser'>;
  readonly meshLifecycle: MeshLifecycle;
  readonly secretLifecycle: SecretLifecycle;
  readonly inspect: InspectSource;
  readonly certificates: CertificateSource;
  readonly rehearsals: RehearsalSource;
  readonly own: OwnState;
  readonly caRotations: CaRotations;
  readonly distrust: DistrustSource;
  /** What this control plane is: decides computed labels, and the namespace of objects without one in Kubernetes form. */
  readonly context: LabelContext & { readonly systemNamespace: string };
  /** Every write is refused with 405. */
  readonly readOnly: boolean;
  /** Path or URL of the GUI; '' when there is none. */
  readonly gui: string;
  /** Effective configuration, secrets masked. */
  readonly config: () => object;
  readonly instance: () => InstanceInfo;
  /** Epoch ms. */
  readonly now: () => number;
}

/** Every route of the API, `/openapi.json` with their description included. */
export function restRoutes(sources: RestSources): readonly Route[] {
  const { store, registry, context } = sources;
  const readSources = { store, systemNamespace: context.systemNamespace, kindOf: registry.byType };
  const writeSources = { ...sources, deleteScope: deleteScope(registry) };
  const routes = [
    ...indexRoutes(sources),
    ...ownStateRoutes(store, sources.own),
    ...globalInsightRoutes(sources),
    ...tokenRoutes(sources.tokens),
    ...serviceInsightRoutes(store),
    ...servedKinds(registry).flatMap((kind) => [
      // ServiceInsight is read per service, by the routes above.
      ...(kind.type === 'ServiceInsight' ? [] : readRoutes(readSources, kind)),
      ...writeRoutes(writeSources, kind),
    ]),
    ...rehearsalRoutes({ ...sources, ...meshActions(sources) }),
    ...caRotationRoutes({ ...sources, ...meshActions(sources) }),
    ...mtlsRoutes(store, sources.inspect, sources.caRotations),
    ...certificateRoutes(sources),
    ...renewalRoutes({ ...sources, ...meshActions(sources) }),
    ...distrustRoutes({ ...sources, ...meshActions(sources) }),
    ...inspectProxyRoutes(store, sources.inspect),
    ...inspectPolicyRoutes(store, registry),
    ...kriRoutes(store, registry),
  ];
  return withOpenApi(routes, registry, () => sources.instance().version);
}

/**
 * Who may have something done to a mesh beyond writing it: who may write it. On Kubernetes nobody writes it over the API, and there the rights of
 * the cluster say nothing here: administrators.
 */
function meshActions({ context, readOnly }: RestSources): { readonly access: RouteAccess; readonly readOnly: boolean } {
  const onKubernetes = context.environment === 'kubernetes';
  const access: RouteAccess = onKubernetes
    ? { rule: 'adminResources', what: 'the certificates of a mesh' }
    : kindAccess(meshKind);
  return { access, readOnly: readOnly && !onKubernetes };
}

function withOpenApi(routes: readonly Route[], registry: Registry, version: () => string): readonly Route[] {
  let document: JsonSchema | undefined;
  const route: Route = {
    method: 'GET',
    path: '/openapi.json',
    access: { rule: 'public' },
    document: { id: 'getOpenApi', summary: 'This document', tag: 'Control plane' },
    handle: async () => {
      document ??= openApiDocument(all, registry, version());
      return json(document);
    },
  };
  const all = [...routes, route];
  return all;
}

function deleteScope(registry: Registry): DeleteScope {
  return {
    meshTypes: registry.list().flatMap((kind) => (kind.scope === 'Mesh' ? [kind.type] : [])),
    companions: { Mesh: ['MeshInsight'], Dataplane: ['DataplaneInsight'] },
  };
}
