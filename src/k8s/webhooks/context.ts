import type { Kind } from '../../resources/kind.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import type { KubernetesOptions } from '../../resources/kubernetes.ts';
import type { LabelContext } from '../../resources/labels.ts';
import type { Registry } from '../../resources/registry.ts';
import type { Resource } from '../../resources/resource.ts';
import type { MeshChecks, SecretChecks } from '../../resources/write-checks.ts';
import { KUMA_GROUP } from '../api/kind-type.ts';
import type { AdmissionRequest } from './admission-review.ts';

/**
 * Meshes as they are now, not as a cache has them: a Mesh and what belongs to it are often applied together, and a Mesh that was applied a
 * moment ago must be there.
 */
export interface MeshLookup {
  /** `undefined`: no such Mesh. */
  find(name: string): Promise<{ readonly mesh: Resource<MeshSpec>; readonly uid: string } | undefined>;
}

/** What the handlers are handed. */
export interface WebhookContext {
  readonly registry: Registry;
  /** With `systemNamespace` and environment `kubernetes`. */
  readonly labels: LabelContext & KubernetesOptions;
  /** Users who tidy up or sync: never held up by placement rules or on DELETE. Not security: it protects users from themselves. */
  readonly systemUsers: ReadonlySet<string>;
  readonly meshes: MeshLookup;
  readonly meshChecks: MeshChecks;
  readonly secretChecks: SecretChecks;
}

/**
 * The control plane itself, those who delete what belongs to something deleted, and who rewrites stored objects in a new version.
 * Source: Kuma 2.11 `webhooks.isPrivilegedUser`, and the controllers of kube-controller-manager.
 */
export function systemUsers(options: {
  /** User name of the control plane: `system:serviceaccount:<namespace>:<name>`. */
  readonly controlPlaneUser: string;
  /** `runtime.kubernetes.allowedUsers`. */
  readonly allowedUsers: readonly string[];
}): ReadonlySet<string> {
  return new Set([
    options.controlPlaneUser,
    'system:serviceaccount:kube-system:generic-garbage-collector',
    'system:serviceaccount:kube-system:namespace-controller',
    'system:kube-controller-manager',
    ...options.allowedUsers,
  ]);
}

/** The kind a request is about; `undefined` for what is not ours to look at. */
export function kindOfRequest(registry: Registry, request: AdmissionRequest): Kind | undefined {
  if (request.kind.group !== KUMA_GROUP || request.subResource !== '') return undefined;
  const kind = registry.byType(request.kind.kind);
  return kind === undefined || kind.internal ? undefined : kind;
}

/** Why an object may not be in its namespace, whatever it says. Source: section 6 of the compatibility reference, placement rules. */
export function placementProblem(
  kind: Kind,
  labels: Readonly<Record<string, string>>,
  namespace: string,
  context: WebhookContext['labels'],
): string | undefined {
  if (namespace === '') return undefined;
  const isSystem = namespace === context.systemNamespace;
  if (context.mode === 'global' && !isSystem)
    return `on Global CP the policy can be created only in the system namespace:${context.systemNamespace}`;
  const wantsOrigin = context.mode === 'zone' && context.federated && kind.policy !== undefined && isSystem;
  return wantsOrigin && labels['kuma.io/origin'] !== 'zone'
    ? "Operation not allowed. Applying policies on Zone CP requires 'kuma.io/origin' label to be set to 'zone'."
    : undefined;
}
