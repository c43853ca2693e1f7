import type { Kind } from './kind.ts';
import { type DataplaneSpec, isBuiltinGateway } from './kinds/dataplane.ts';
import { labelKeyProblems, labelValueProblems } from './name.ts';
import type { Resource, ResourceMeta, Violation } from './resource.ts';
import {
  LABEL_ENV,
  LABEL_MESH,
  LABEL_NAMESPACE,
  LABEL_ORIGIN,
  LABEL_POLICY_ROLE,
  LABEL_PROXY_TYPE,
  LABEL_ZONE,
} from './well-known.ts';

/** What the control plane that writes a resource is. */
export interface LabelContext {
  readonly mode: 'zone' | 'global';
  /** A zone that syncs with a global control plane. */
  readonly federated: boolean;
  readonly zone: string;
  readonly environment: 'universal' | 'kubernetes';
  /** Namespace of the control plane on Kubernetes: policies in it have the role `system`. */
  readonly systemNamespace?: string;
}

type Labels = Readonly<Record<string, string>>;

/**
 * The labels a resource is stored with: its own, and those the control plane computes. What the user set stays, but for
 * `kuma.io/proxy-type`, which always says what the Dataplane is, and the policy role, which is not the
 * user's to choose. Same object in, same labels out; keys sorted.
 * Source: Kuma 2.11 `model.ComputeLabels`; the policy role is set only for objects that live in a Kubernetes namespace and are of this zone.
 */
export function computeLabels(kind: Kind, resource: Resource, context: LabelContext): Labels {
  const labels = new Map(Object.entries(resource.meta.labels));
  const setIfAbsent = (key: string, value: string) => {
    if (!labels.has(key)) labels.set(key, value);
  };
  if (kind.scope === 'Mesh') setIfAbsent(LABEL_MESH, resource.meta.mesh === '' ? 'default' : resource.meta.mesh);
  if (context.mode === 'zone' && kind.globalOnly !== true) {
    setIfAbsent(LABEL_ORIGIN, 'zone');
    if (labels.get(LABEL_ORIGIN) !== 'global') {
      setIfAbsent(LABEL_ZONE, context.zone);
      setIfAbsent(LABEL_ENV, context.environment);
    }
  }
  const namespace = context.environment === 'kubernetes' ? labels.get(LABEL_NAMESPACE) : undefined;
  if (kind.policy !== undefined && namespace !== undefined && isOwn(labels.get(LABEL_ORIGIN), context)) {
    if (namespace === context.systemNamespace) labels.set(LABEL_POLICY_ROLE, 'system');
    else if (!kind.policy.hasToTargetRef) labels.set(LABEL_POLICY_ROLE, 'workload-owner');
  }
  if (kind.type === 'Dataplane') labels.set(LABEL_PROXY_TYPE, proxyType(resource.spec as DataplaneSpec));
  return Object.fromEntries([...labels].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Not a copy synced from the other side. */
function isOwn(origin: string | undefined, context: LabelContext): boolean {
  return origin !== (context.mode === 'zone' ? 'global' : 'zone');
}

function proxyType(spec: DataplaneSpec): string {
  return isBuiltinGateway(spec) ? 'gateway' : 'sidecar';
}

/** Violations of the labels in a body, as stage c of a PUT reports them: `labels["<key>"]`. */
export function validateLabels(kind: Kind, meta: ResourceMeta, context: LabelContext): readonly Violation[] {
  return [...originLabel(kind, meta, context), ...zoneAndMeshLabels(meta, context), ...labelSyntax(meta.labels)];
}

function originLabel(kind: Kind, meta: ResourceMeta, context: LabelContext): readonly Violation[] {
  const origin = meta.labels[LABEL_ORIGIN];
  const field = fieldOf(LABEL_ORIGIN);
  const out: Violation[] = [];
  if (origin !== undefined && origin !== 'zone' && origin !== 'global') {
    out.push({ field, message: `unknown resource origin "${origin}"` });
  }
  if (context.mode === 'global' && origin !== undefined && origin !== 'global') {
    out.push({ field, message: "the origin label must be set to 'global'" });
  }
  if (context.mode === 'zone' && context.federated && kind.policy !== undefined && origin !== 'zone') {
    out.push({ field, message: "the origin label must be set to 'zone'" });
  }
  return out;
}

function zoneAndMeshLabels(meta: ResourceMeta, context: LabelContext): readonly Violation[] {
  const { [LABEL_ORIGIN]: origin, [LABEL_ZONE]: zone, [LABEL_MESH]: mesh } = meta.labels;
  if (context.mode === 'global' || origin === 'global') return [];
  return [
    ...(zone !== undefined && zone !== context.zone
      ? [{ field: fieldOf(LABEL_ZONE), message: `${LABEL_ZONE} label should have ${context.zone} value` }]
      : []),
    ...(mesh !== undefined && mesh !== meta.mesh
      ? [{ field: fieldOf(LABEL_MESH), message: `${LABEL_MESH} label must not differ from mesh set on resource` }]
      : []),
  ];
}

function labelSyntax(labels: Labels): readonly Violation[] {
  return Object.keys(labels)
    .sort()
    .flatMap((key) =>
      [...labelKeyProblems(key), ...labelValueProblems(labels[key]!)].map((message) => ({
        field: fieldOf(key),
        message,
      })),
    );
}

function fieldOf(key: string): string {
  return `labels["${key}"]`;
}
