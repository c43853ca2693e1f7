import type { Kind } from '../resources/kind.ts';
import type { Registry } from '../resources/registry.ts';
import { EVERYONE, type RouteAccess } from './route.ts';

/** Kinds shown together with what the control plane observed of them. Source: compatibility reference 5.2. */
export interface OverviewTraits {
  readonly type: string;
  readonly insightType: string;
  readonly overviewType: string;
  /** Key of the resource and of the insight in an overview. */
  readonly field: string;
  readonly insightField: string;
  /** Older collection path. */
  readonly legacyPath: string;
}

const OVERVIEWS: readonly OverviewTraits[] = [
  overview('Dataplane', 'dataplane', 'dataplanes+insights'),
  overview('Zone', 'zone', 'zones+insights'),
  overview('ZoneIngress', 'zoneIngress', 'zoneingresses+insights'),
  overview('ZoneEgress', 'zoneEgress', 'zoneegressoverviews'),
];

function overview(type: string, field: string, legacyPath: string): OverviewTraits {
  return {
    type,
    insightType: `${type}Insight`,
    overviewType: `${type}Overview`,
    field,
    insightField: `${field}Insight`,
    legacyPath,
  };
}

/** `undefined`: this kind has no overview. */
export function overviewTraits(kind: Kind): OverviewTraits | undefined {
  return OVERVIEWS.find((traits) => traits.type === kind.type);
}

export function kindAccess(kind: Kind): RouteAccess {
  return kind.access === 'everyone'
    ? EVERYONE
    : { rule: 'adminResources', what: `the resource of type "${kind.type}"` };
}

/** Where a kind's resources are: each collection path, with the mesh for mesh-scoped kinds. First the canonical one, then aliases. */
export function collectionPaths(kind: Kind): readonly string[] {
  const prefix = kind.scope === 'Mesh' ? '/meshes/{mesh}/' : '/';
  return [kind.path, ...kind.pathAliases].map((path) => prefix + path);
}

/** Collections of a mesh-scoped kind across all meshes; none for global kinds. */
export function acrossMeshesPaths(kind: Kind): readonly string[] {
  return kind.scope === 'Mesh' ? [kind.path, ...kind.pathAliases].map((path) => `/${path}`) : [];
}

/** Kinds with routes of their own, sorted by type. */
export function servedKinds(registry: Registry): readonly Kind[] {
  return registry.list().filter((kind) => !kind.internal && kind.onlyKubernetes !== true);
}
