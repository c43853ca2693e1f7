import { KUMA_GROUP, kindResourceType } from '../k8s/api/kind-type.ts';
import { policyKinds } from '../policies/index.ts';
import type { Kind } from '../resources/kind.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import { MUTATING_CONFIGURATION, VALIDATING_CONFIGURATION } from './webhook-configurations.ts';

/**
 * What the control plane may do at the API server, each with the code that needs it. Nothing reads a Secret outside the system namespace,
 * nothing reads a cert-manager Secret by name, and no rule has a `*`. docs/reference/kubernetes-rights.md is printed from it.
 */
export interface Permission {
  /** `system`: only in the system namespace, by a Role. */
  readonly scope: 'cluster' | 'system';
  /** API group; '' for core. */
  readonly group: string;
  /** Plural names, `meshes/status` for a subresource. */
  readonly resources: readonly string[];
  /** Only these objects. */
  readonly names?: readonly string[];
  readonly verbs: readonly string[];
  /** What it is for. */
  readonly use: string;
}

/** How a live view is kept: `createListWatch`. */
const FOLLOW = ['list', 'watch'] as const;

/** Every permission, in a stable order. */
export function controlPlanePermissions(): readonly Permission[] {
  const kinds = [...coreKinds, ...policyKinds].filter(hasObject);
  const insights = kinds.filter((kind) => kind.readOnly && !kind.internal);
  const records = kinds.filter((kind) => kind.internal);
  return [
    {
      scope: 'cluster',
      group: KUMA_GROUP,
      resources: plurals(kinds),
      verbs: FOLLOW,
      use: 'store: meshes, proxies and policies are followed',
    },
    {
      scope: 'cluster',
      group: KUMA_GROUP,
      resources: ['containerpatches', 'meshes'],
      verbs: ['get'],
      use: 'webhooks and injector: what is there at this moment',
    },
    {
      scope: 'cluster',
      group: KUMA_GROUP,
      resources: ['meshes'],
      verbs: ['create', 'patch'],
      use: 'store: the Mesh `default` at the first start; the steps of changing a CA that somebody asked for',
    },
    {
      scope: 'cluster',
      group: KUMA_GROUP,
      resources: ['meshes/status'],
      verbs: ['patch'],
      use: 'controllers: conditions of a Mesh',
    },
    {
      scope: 'cluster',
      group: KUMA_GROUP,
      resources: ['dataplanes'],
      verbs: ['create', 'update', 'delete'],
      use: 'controllers: Dataplanes of Pods',
    },
    {
      scope: 'cluster',
      group: KUMA_GROUP,
      resources: plurals([...insights, ...records]),
      verbs: ['create', 'patch', 'delete'],
      use: 'store: insights, sealed leaves and those under way, by which a restart issues nothing anew, and what was asked to be renewed',
    },
    {
      scope: 'cluster',
      group: '',
      resources: ['nodes', 'pods', 'services'],
      verbs: FOLLOW,
      use: 'controllers: Dataplanes out of Pods, outbounds out of Services, topology of Nodes',
    },
    {
      scope: 'cluster',
      group: '',
      resources: ['namespaces'],
      verbs: ['get', ...FOLLOW],
      use: 'injector and controllers: mesh and labels of a Namespace',
    },
    {
      scope: 'cluster',
      group: '',
      resources: ['events'],
      verbs: ['create', 'patch'],
      use: 'controllers: what is wrong with a Mesh or Pod, as an Event on it',
    },
    {
      scope: 'cluster',
      group: 'authentication.k8s.io',
      resources: ['tokenreviews'],
      verbs: ['create'],
      use: 'proxy authentication: the ServiceAccount token of a Pod is checked',
    },
    {
      scope: 'cluster',
      group: 'cert-manager.io',
      resources: ['clusterissuers'],
      verbs: FOLLOW,
      use: 'certmanager backend: is the issuer there and ready',
    },
    ...[
      ['mutatingwebhookconfigurations', MUTATING_CONFIGURATION] as const,
      ['validatingwebhookconfigurations', VALIDATING_CONFIGURATION] as const,
    ].map(
      ([resource, name]): Permission => ({
        scope: 'cluster',
        group: 'admissionregistration.k8s.io',
        resources: [resource],
        names: [name],
        verbs: ['get', ...FOLLOW, 'patch'],
        use: 'webhooks: the CA of their certificate is kept right in our own configuration',
      }),
    ),
    {
      scope: 'system',
      group: '',
      resources: ['secrets'],
      verbs: ['get', ...FOLLOW, 'create', 'update', 'patch'],
      use: 'store: Secrets of meshes, followed by their type only; a builtin CA that is renewed; webhooks: their certificate; leaf sealing key',
    },
    {
      scope: 'system',
      group: '',
      resources: ['configmaps'],
      verbs: [...FOLLOW, 'create'],
      use: 'store: settings that control planes share, such as the cluster id',
    },
    {
      scope: 'system',
      group: 'coordination.k8s.io',
      resources: ['leases'],
      verbs: ['get', 'create', 'update'],
      use: 'store: which control plane leads',
    },
    {
      scope: 'system',
      group: 'cert-manager.io',
      resources: ['certificaterequests'],
      verbs: [...FOLLOW, 'create', 'delete'],
      use: 'certmanager backend: one request for each leaf, deleted when it is answered; swept at start and on a timer',
    },
    {
      scope: 'system',
      group: 'cert-manager.io',
      resources: ['issuers'],
      verbs: FOLLOW,
      use: 'certmanager backend: is the issuer there and ready',
    },
  ];
}

/** Permissions of one scope as rules of a Role or ClusterRole. */
export function rulesOf(permissions: readonly Permission[], scope: Permission['scope']) {
  return permissions
    .filter((permission) => permission.scope === scope)
    .map(({ group, resources, names, verbs }) => ({
      apiGroups: [group],
      resources: [...resources],
      ...(names === undefined ? {} : { resourceNames: [...names] }),
      verbs: [...verbs],
    }));
}

/** Kinds that are objects of our own group: Secrets are v1 Secrets, Config is a ConfigMap. */
function hasObject(kind: Kind): boolean {
  return kindResourceType(kind).group === KUMA_GROUP && kind.type !== 'Config';
}

function plurals(kinds: readonly Kind[]): readonly string[] {
  return kinds.map((kind) => kindResourceType(kind).plural).sort();
}
