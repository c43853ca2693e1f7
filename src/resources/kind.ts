import type { z } from 'zod';
import type { Resource, Violation } from './resource.ts';

/** What makes a targetRef policy a policy; source: Kuma 2.11 `/_resources`. */
export interface PolicyTraits {
  readonly hasToTargetRef: boolean;
  readonly hasFromTargetRef: boolean;
  readonly isFromAsRules: boolean;
}

/**
 * Everything the program knows about one kind, in one place: types, validation, REST path, OpenAPI, later the CRD.
 * Listed in `registry.ts`; never registered by import.
 */
export interface Kind<Spec = unknown> {
  /** `MeshTrafficPermission` */
  readonly type: string;
  /** REST collection, `meshtrafficpermissions`. */
  readonly path: string;
  /** Other accepted REST collections. */
  readonly pathAliases: readonly string[];
  readonly scope: 'Global' | 'Mesh';
  /** `inline`: old model, spec fields at the top level, proto3 JSON, unknown fields ignored. `spec`: new model, under `spec`, unknown fields refused by schema. */
  readonly model: 'inline' | 'spec';
  /** Short name in a KRI: `mtp`. */
  readonly shortName: string;
  readonly singularDisplayName: string;
  readonly pluralDisplayName: string;
  /** `admin`: reads and writes are for admins only (Secret, GlobalSecret). */
  readonly access: 'everyone' | 'admin';
  /** Written by the control plane only; REST PUT and DELETE answer 405. */
  readonly readOnly: boolean;
  /** Never served by REST, never synced: the control plane's own records. */
  readonly internal: boolean;
  /** Means something on Kubernetes only: an object of the cluster without a REST path. Absent: false. */
  readonly onlyKubernetes?: boolean;
  /** Left out of a federation export. */
  readonly includeInFederation: boolean;
  /** A zone never makes one (Mesh, MeshInsight, ServiceInsight): no origin, zone and env labels. Absent: false. */
  readonly globalOnly?: boolean;
  readonly kubernetesScope: 'Cluster' | 'Namespaced';
  readonly policy?: PolicyTraits;
  /** Shape of `spec`; the source of types, OpenAPI and the CRD. */
  readonly schema: z.ZodType<Spec>;
  /** Shape of `status`, new model only. */
  readonly statusSchema?: z.ZodType;
  /** Fills defaults that are stored; returns the same object when there is nothing to fill. */
  applyDefaults?(spec: Spec): Spec;
  /** Static validation: every violation, paths as in the Universal form (`spec.` prefix only for new-model kinds). */
  validate(spec: Spec, resource: Resource<Spec>): readonly Violation[];
  /** Deprecations of a valid spec, as texts for `warnings` of a PUT; absent: none. */
  warnings?(spec: Spec, resource: Resource<Spec>): readonly string[];
}
