import type { AdmissionRequest, JsonObject, Operation } from '../k8s/webhooks/admission-review.ts';
import { parseAdmissionReview } from '../k8s/webhooks/admission-review.ts';
import { systemUsers, type WebhookContext } from '../k8s/webhooks/context.ts';
import { policyKinds } from '../policies/index.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import { createRegistry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: JsonObject;
  readonly [field: string]: unknown;
}

/** An AdmissionReview as an API server sends it for `object`; for DELETE the object is the old one. */
export function admissionReview(
  object: KubernetesObject,
  options: {
    readonly operation?: Operation;
    readonly oldObject?: KubernetesObject;
    readonly username?: string;
    readonly subResource?: string;
    readonly dryRun?: boolean;
  } = {},
): JsonObject {
  const operation = options.operation ?? 'CREATE';
  const [version = '', group = ''] = object.apiVersion.split('/').reverse();
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'uid-1',
      kind: { group, version, kind: object.kind },
      name: object.metadata['name'] ?? '',
      ...(object.metadata['namespace'] === undefined ? {} : { namespace: object.metadata['namespace'] }),
      ...(options.subResource === undefined ? {} : { subResource: options.subResource }),
      operation,
      userInfo: { username: options.username ?? 'kubernetes-admin', groups: ['system:masters'] },
      object: operation === 'DELETE' ? null : object,
      oldObject: options.oldObject ?? (operation === 'DELETE' ? object : null),
      dryRun: options.dryRun ?? false,
    },
  };
}

/** `admissionReview`, read. */
export function admissionRequest(...args: Parameters<typeof admissionReview>): AdmissionRequest {
  return parseAdmissionReview(admissionReview(...args));
}

/** What handlers are handed: the real kinds, zone `east`, system namespace `sys`, Mesh `default`, nothing against any write. */
export function webhookContext(
  overrides: Partial<WebhookContext> & {
    readonly meshSpec?: MeshSpec;
    readonly global?: boolean;
    readonly federated?: boolean;
  } = {},
): WebhookContext {
  const mesh: Resource<MeshSpec> = {
    type: 'Mesh',
    meta: { mesh: '', name: 'default', labels: {}, creationTime: '', modificationTime: '', version: '' },
    spec: overrides.meshSpec ?? {},
  };
  return {
    registry: createRegistry([...coreKinds, ...policyKinds]),
    labels: {
      mode: overrides.global === true ? 'global' : 'zone',
      federated: overrides.federated === true,
      zone: 'east',
      environment: 'kubernetes',
      systemNamespace: 'sys',
    },
    systemUsers: systemUsers({ controlPlaneUser: 'system:serviceaccount:sys:weft-control-plane', allowedUsers: [] }),
    meshes: { find: async (name) => (name === 'default' ? { mesh, uid: 'mesh-uid' } : undefined) },
    meshChecks: { validate: async () => [], rehearse: async () => [], validateDelete: async () => [] },
    secretChecks: { validateDelete: async () => [] },
    ...overrides,
  };
}
