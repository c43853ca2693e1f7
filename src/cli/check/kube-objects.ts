/** Kubernetes objects, as far as `weft check` reads them. */

import type { Condition, KubeObject, ResourceType } from '../../k8s/api/object.ts';
import type { BackendReport } from './cas.ts';

export interface Crd extends KubeObject {
  readonly spec: {
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly schema?: { readonly openAPIV3Schema?: SchemaNode };
    }[];
  };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** A structural schema, as far as fields go. */
export interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig: { readonly caBundle?: string; readonly url?: string; readonly service?: ServiceReference };
  }[];
}

export interface ServiceReference {
  readonly namespace: string;
  readonly name: string;
}

export interface Deployment extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly spec: {
        readonly serviceAccountName?: string;
        readonly containers: readonly { readonly name: string; readonly image: string }[];
      };
    };
  };
  readonly status?: { readonly readyReplicas?: number; readonly updatedReplicas?: number };
}

export interface SecretObject extends KubeObject {
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface Issuer extends KubeObject {
  /** One key that names the type: `ca`, `vault`, `selfSigned`, `acme`; other groups have what they like. */
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export interface MeshObject extends KubeObject {
  readonly spec?: {
    readonly mtls?: {
      readonly enabledBackend?: string;
      readonly backends?: readonly {
        readonly name: string;
        readonly type: string;
        readonly conf?: Readonly<Record<string, unknown>>;
      }[];
    };
  };
  readonly status?: { readonly mtls?: { readonly backends?: readonly BackendReport[] } };
}

export interface Lease extends KubeObject {
  readonly spec?: { readonly renewTime?: string };
}

export const MUTATING_WEBHOOKS: ResourceType = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
  kind: 'MutatingWebhookConfiguration',
  namespaced: false,
};
export const VALIDATING_WEBHOOKS: ResourceType = {
  ...MUTATING_WEBHOOKS,
  plural: 'validatingwebhookconfigurations',
  kind: 'ValidatingWebhookConfiguration',
};
export const DEPLOYMENTS: ResourceType = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
};
export const SERVICE_ACCOUNTS: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
};
export const LEASES: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};
export const MESHES: ResourceType = {
  group: 'kuma.io',
  version: 'v1alpha1',
  plural: 'meshes',
  kind: 'Mesh',
  namespaced: false,
};
export const DATAPLANES: ResourceType = { ...MESHES, plural: 'dataplanes', kind: 'Dataplane', namespaced: true };
export const DATAPLANE_INSIGHTS: ResourceType = {
  ...DATAPLANES,
  plural: 'dataplaneinsights',
  kind: 'DataplaneInsight',
};
export const CERTIFICATE_REQUESTS: ResourceType = {
  group: 'cert-manager.io',
  version: 'v1',
  plural: 'certificaterequests',
  kind: 'CertificateRequest',
  namespaced: true,
};
