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

const READ = ['get', 'list', 'watch'] as const;
const WRITE = ['create', 'update', 'patch', 'delete'] as const;

/** Kinds whose objects the control plane makes itself, beside insights and its own records. */
const MADE_HERE = ['Mesh', 'Dataplane', 'Zone'];

/** Every permission, in a stable order. */
export function controlPlanePermissions(): readonly Permission[] {
  const kinds = [...coreKinds, ...policyKinds].filter(hasObject);
  const made = kinds.filter((kind) => kind.readOnly || kind.internal || MADE_HERE.includes(kind.type));
  return [
    {
      scope: 'cluster',
      group: 'kuma.io',
      resources: plurals(kinds),
      verbs: READ,
      use: 'store: meshes, proxies and policies are read and watched',
    },
    {
      scope: 'cluster',
      group: 'kuma.io',
      resources: plurals(made),
      verbs: WRITE,
      use: 'store and controllers: the Mesh `default`, Dataplanes of Pods, insights, sealed leaves',
    },
    {
      scope: 'cluster',
      group: 'kuma.io',
      resources: plurals(kinds).map((plural) => `${plural}/status`),
      verbs: ['update', 'patch'],
      use: 'store and controllers: conditions of a Mesh, insights',
    },
    {
      scope: 'cluster',
      group: '',
      resources: ['namespaces', 'nodes', 'pods', 'services'],
      verbs: READ,
      use: 'controllers: Dataplanes out of Pods, outbounds out of Services; injector: labels of a namespace, topology of a node',
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
      verbs: READ,
      use: 'certmanager backend: is the issuer there and ready',
    },
    {
      scope: 'cluster',
      group: 'admissionregistration.k8s.io',
      resources: ['mutatingwebhookconfigurations'],
      names: [MUTATING_CONFIGURATION],
      verbs: [...READ, 'update', 'patch'],
      use: 'webhooks: the CA of their certificate is written into our own configuration',
    },
    {
      scope: 'cluster',
      group: 'admissionregistration.k8s.io',
      resources: ['validatingwebhookconfigurations'],
      names: [VALIDATING_CONFIGURATION],
      verbs: [...READ, 'update', 'patch'],
      use: 'webhooks: the CA of their certificate is written into our own configuration',
    },
    {
      scope: 'system',
      group: '',
      resources: ['secrets'],
      verbs: [...READ, ...WRITE],
      use: 'store: Secrets and GlobalSecrets of a mesh, listed and watched by their type only; webhooks: their certificate; leaf sealing key',
    },
    {
      scope: 'system',
      group: '',
      resources: ['configmaps'],
      verbs: [...READ, ...WRITE],
      use: 'store: settings that control planes share',
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
      verbs: [...READ, 'create', 'delete', 'deletecollection'],
      use: 'certmanager backend: one request for each leaf, deleted when it is answered; sweep at start',
    },
    {
      scope: 'system',
      group: 'cert-manager.io',
      resources: ['issuers'],
      verbs: READ,
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
