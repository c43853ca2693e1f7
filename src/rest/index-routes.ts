import type { Kind } from '../resources/kind.ts';
import type { Registry } from '../resources/registry.ts';
import { servedKinds } from './kind-traits.ts';
import type { InstanceInfo } from './lifecycle.ts';
import { EVERYONE, json, type Route } from './route.ts';

/** kumactl refuses `config control-planes add` for any other product, so the API says whose API it is. Seen with kumactl 2.11.18 and 2.14.3. */
const API_PRODUCT = 'Kuma';
const PRODUCT_TAG = 'Control plane';

/** What the control plane says of itself: `/`, `/config`, `/who-am-i`, `/policies`, `/_resources`. */
export function indexRoutes(options: {
  readonly registry: Registry;
  readonly readOnly: boolean;
  /** Path or URL of the GUI; '' when there is none. */
  readonly gui: string;
  readonly instance: () => InstanceInfo;
  /** Effective configuration, secrets masked. */
  readonly config: () => object;
}): readonly Route[] {
  const { registry, readOnly, gui, instance, config } = options;
  const kinds = servedKinds(registry);
  return [
    {
      method: 'GET',
      path: '/',
      access: { rule: 'public' },
      document: { id: 'getIndex', summary: 'Product, version and instance', tag: PRODUCT_TAG },
      handle: async () => {
        const { hostname, product, version, instanceId, clusterId, basedOnKuma } = instance();
        return json({
          hostname,
          product: API_PRODUCT,
          version,
          instanceId,
          clusterId,
          gui,
          basedOnKuma,
          distribution: product,
        });
      },
    },
    {
      method: 'GET',
      path: '/config',
      access: { rule: 'controlPlaneMetadata', what: 'control-plane metadata' },
      document: { id: 'getConfig', summary: 'Effective configuration, secrets masked', tag: PRODUCT_TAG },
      handle: async () => json(config()),
    },
    {
      method: 'GET',
      path: '/who-am-i',
      access: EVERYONE,
      document: { id: 'getWhoAmI', summary: 'The user this request is made as', tag: PRODUCT_TAG },
      handle: async ({ user }) => json({ name: user.name, groups: user.groups }),
    },
    {
      method: 'GET',
      path: '/policies',
      access: EVERYONE,
      document: { id: 'listPolicyKinds', summary: 'Kinds of policies', tag: PRODUCT_TAG },
      handle: async () =>
        json({ policies: kinds.filter((kind) => kind.policy).map((kind) => policyEntry(kind, readOnly)) }),
    },
    {
      method: 'GET',
      path: '/_resources',
      access: EVERYONE,
      document: { id: 'listKinds', summary: 'Kinds of resources', tag: PRODUCT_TAG },
      handle: async () => json({ resources: kinds.map((kind) => resourceEntry(kind, readOnly)) }),
    },
  ];
}

function policyEntry(kind: Kind, readOnly: boolean) {
  return {
    name: kind.type,
    readOnly: readOnly || kind.readOnly,
    path: kind.path,
    singularDisplayName: kind.singularDisplayName,
    pluralDisplayName: kind.pluralDisplayName,
    isExperimental: false,
    isTargetRefBased: true,
    isInbound: kind.policy?.hasFromTargetRef ?? false,
    isOutbound: kind.policy?.hasToTargetRef ?? false,
  };
}

function resourceEntry(kind: Kind, readOnly: boolean) {
  const { includeInFederation, path, singularDisplayName, pluralDisplayName, scope, policy } = kind;
  return {
    includeInFederation,
    name: kind.type,
    path,
    pluralDisplayName,
    ...(policy
      ? {
          policy: {
            hasFromTargetRef: policy.hasFromTargetRef,
            hasToTargetRef: policy.hasToTargetRef,
            isFromAsRules: policy.isFromAsRules,
            isTargetRef: true,
          },
        }
      : {}),
    readOnly: readOnly || kind.readOnly,
    scope,
    singularDisplayName,
  };
}
