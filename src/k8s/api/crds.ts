import type { Kind } from '../../resources/kind.ts';
import { secretTypeOf } from '../../resources/kubernetes.ts';
import { KUMA_GROUP, KUMA_VERSION, kindResourceType } from './kind-type.ts';
import type { KubeObject, ResourceType } from './object.ts';
import { FREE_OBJECT, type StructuralSchema, strictSchema, tolerantSchema } from './structural-schema.ts';

export const CUSTOM_RESOURCE_DEFINITION: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'boolean' | 'integer' | 'date';
  readonly jsonPath: string;
  /** Above 0: only with `-o wide`. */
  readonly priority?: number;
}

export interface CustomResourceDefinition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly scope: 'Cluster' | 'Namespaced';
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly [
      {
        readonly name: string;
        readonly served: true;
        readonly storage: true;
        readonly schema: { readonly openAPIV3Schema: StructuralSchema };
        readonly subresources?: { readonly status: Record<string, never> };
        readonly additionalPrinterColumns: readonly PrinterColumn[];
      },
    ];
  };
}

/**
 * The definitions of every kind that has objects of its own, by name; Secrets and the control plane's Config live in v1 objects. Same kinds in, same bytes out.
 * Group, version, scopes and the place of `mesh` and `status` as in Kuma (compatibility reference, section 6).
 */
export function crds(kinds: readonly Kind[]): readonly CustomResourceDefinition[] {
  return kinds
    .filter((kind) => secretTypeOf(kind) === undefined && kind.type !== 'Config')
    .map(definitionOf)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

function definitionOf(kind: Kind): CustomResourceDefinition {
  const { plural } = kindResourceType(kind);
  // A short name of one letter would be in the way of others.
  const shortNames = kind.shortName.length > 1 ? [kind.shortName] : [];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${KUMA_GROUP}` },
    spec: {
      group: KUMA_GROUP,
      scope: kind.kubernetesScope,
      names: {
        kind: kind.type,
        listKind: `${kind.type}List`,
        plural,
        singular: kind.type.toLowerCase(),
        ...(shortNames.length > 0 && { shortNames }),
        // Of `kubectl get kuma`; the control plane's own records are not for people.
        categories: kind.internal ? [] : ['kuma'],
      },
      versions: [
        {
          name: KUMA_VERSION,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: objectSchema(kind) },
          ...(hasStatus(kind) && { subresources: { status: {} } }),
          additionalPrinterColumns: [...(COLUMNS[kind.type] ?? policyColumns(kind)), AGE],
        },
      ],
    },
  };
}

/**
 * Status is a subresource of the Mesh and of all new-model kinds: a write of the object leaves it alone. DataplaneInsight has all its data under `status` and is
 * written whole, so there it is a field like any other; the internal records and ContainerPatch have none.
 */
export function hasStatus(kind: Kind): boolean {
  return kind.type === 'Mesh' || (kind.model === 'spec' && !kind.internal && kind.onlyKubernetes !== true);
}

function objectSchema(kind: Kind): StructuralSchema {
  const data = kind.model === 'spec' ? strictSchema(kind.schema) : tolerantSchema(kind.schema);
  const status = kind.statusSchema === undefined ? FREE_OBJECT : strictSchema(kind.statusSchema);
  return {
    type: 'object',
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      ...((kind.model === 'inline' || kind.onlyKubernetes === true) &&
        kind.scope === 'Mesh' && {
          mesh: { type: 'string', description: 'The mesh the object belongs to; absent: the one called "default".' },
        }),
      ...(kind.type === 'DataplaneInsight' ? { status: data } : { spec: data }),
      ...(hasStatus(kind) && { status }),
    },
  };
}

const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
const MESH_FIELD: PrinterColumn = { name: 'Mesh', type: 'string', jsonPath: '.mesh' };
const MESH_LABEL: PrinterColumn = { name: 'Mesh', type: 'string', jsonPath: '.metadata.labels.kuma\\.io/mesh' };

/** What `kubectl get` shows, by kind; policies have their own rule. */
const COLUMNS: Readonly<Record<string, readonly PrinterColumn[]>> = {
  Mesh: [
    { name: 'mTLS', type: 'string', jsonPath: '.spec.mtls.enabledBackend' },
    { name: 'Mode', type: 'string', jsonPath: '.status.mtls.mode' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason', priority: 1 },
  ],
  Dataplane: [
    MESH_FIELD,
    { name: 'Service', type: 'string', jsonPath: ".spec.networking.inbound[0].tags['kuma\\.io/service']" },
    { name: 'Address', type: 'string', jsonPath: '.spec.networking.address', priority: 1 },
  ],
  DataplaneInsight: [
    MESH_FIELD,
    { name: 'Backend', type: 'string', jsonPath: '.status.mTLS.issuedBackend' },
    { name: 'Expires', type: 'string', jsonPath: '.status.mTLS.certificateExpirationTime' },
    { name: 'Certificates', type: 'integer', jsonPath: '.status.mTLS.certificateRegenerations' },
  ],
  ServiceInsight: [MESH_FIELD],
  Zone: [{ name: 'Enabled', type: 'boolean', jsonPath: '.spec.enabled' }],
  RenewalRequest: [MESH_LABEL, { name: 'At', type: 'string', jsonPath: '.spec.at' }],
  SealedLeaf: [MESH_LABEL, { name: 'Not After', type: 'string', jsonPath: '.spec.notAfter' }],
  PendingLeaf: [
    MESH_LABEL,
    { name: 'Backend', type: 'string', jsonPath: '.spec.backend' },
    { name: 'Until', type: 'string', jsonPath: '.spec.until' },
  ],
  CaRotation: [
    MESH_LABEL,
    { name: 'From', type: 'string', jsonPath: '.spec.from' },
    { name: 'To', type: 'string', jsonPath: '.spec.to' },
    { name: 'Phase', type: 'string', jsonPath: '.spec.phase' },
  ],
};

function policyColumns(kind: Kind): readonly PrinterColumn[] {
  if (kind.policy === undefined) return [];
  return [
    MESH_LABEL,
    { name: 'TargetRef Kind', type: 'string', jsonPath: '.spec.targetRef.kind' },
    { name: 'TargetRef Name', type: 'string', jsonPath: '.spec.targetRef.name' },
  ];
}
