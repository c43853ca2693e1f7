import type { Kind } from './kind.ts';
import { isJsonObject, plainJsonProblem } from './plain-json.ts';
import type { Resource } from './resource.ts';
import { malformed, parseSpec, parseStatus, specJson } from './spec-parse.ts';
import { metaLabels } from './universal.ts';
import { displayName, LABEL_DISPLAY_NAME, LABEL_MESH, LABEL_NAMESPACE } from './well-known.ts';

const API_VERSION = 'kuma.io/v1alpha1';
const DEFAULT_MESH = 'default';

/** Type of the v1 Secret that carries a kind's values; `undefined` for kinds with an object of their own. */
export function secretTypeOf(kind: Kind): string | undefined {
  if (kind.type === 'Secret') return 'system.kuma.io/secret';
  return kind.type === 'GlobalSecret' ? 'system.kuma.io/global-secret' : undefined;
}

export interface KubernetesOptions {
  /** Namespace of the control plane: objects in it have no namespace in their name. */
  readonly systemNamespace: string;
}

/**
 * A resource of `kind` from its Kubernetes object. A namespaced object outside the system namespace is called `<name>.<namespace>`,
 * with labels that keep both parts. Throws `ResourceParseError`. Source: section 6 of the compatibility reference.
 */
export function parseKubernetes(kind: Kind, object: unknown, options: KubernetesOptions): Resource {
  const problem = plainJsonProblem(object);
  if (problem !== undefined) throw malformed(kind.type, problem);
  if (!isJsonObject(object)) throw malformed(kind.type, 'expected an object');
  const metadata = object['metadata'] ?? {};
  if (!isJsonObject(metadata)) throw malformed(kind.type, 'metadata: expected an object');
  const labels = metaLabels(kind, metadata['labels']);
  const name = textField(kind, metadata['name'], 'metadata.name');
  const namespace = textField(kind, metadata['namespace'], 'metadata.namespace');
  const isSecret = secretTypeOf(kind) !== undefined;
  const nested =
    kind.kubernetesScope === 'Namespaced' && !isSecret && namespace !== '' && namespace !== options.systemNamespace;
  const meta = {
    mesh: kind.scope === 'Mesh' ? meshOf(kind, object, labels) : '',
    name: nested ? `${name}.${namespace}` : name,
    labels: nested ? { ...labels, [LABEL_NAMESPACE]: namespace, [LABEL_DISPLAY_NAME]: name } : labels,
    creationTime: '',
    modificationTime: '',
    version: '',
  };
  const spec = parseSpec(kind, isSecret ? secretSpecOf(kind, object) : object[specField(kind)]);
  const status = parseStatus(kind, object['status']);
  const resource: Resource = { type: kind.type, meta, spec };
  return status === undefined ? resource : { ...resource, status };
}

/** The Kubernetes object of a resource. `namespace` overrides the one it would be in. Reading it back gives the same resource. */
export function toKubernetes(
  kind: Kind,
  resource: Resource,
  options: KubernetesOptions & { readonly namespace?: string },
): Readonly<Record<string, unknown>> {
  const { mesh, creationTime } = resource.meta;
  const home = homeOf(kind, resource, options);
  const secretType = secretTypeOf(kind);
  const meshInLabel = mesh !== '' && (kind.model === 'spec' || secretType !== undefined);
  const allLabels = { ...home.labels, ...(meshInLabel ? { [LABEL_MESH]: mesh } : {}) };
  const metadata = {
    name: home.name,
    ...(home.namespace === '' ? {} : { namespace: home.namespace }),
    ...(Object.keys(allLabels).length === 0 ? {} : { labels: allLabels }),
    ...(creationTime === '' ? {} : { creationTimestamp: creationTime }),
  };
  const spec = specJson(kind, resource.spec);
  if (secretType !== undefined) {
    return { apiVersion: 'v1', kind: 'Secret', metadata, type: secretType, data: { value: spec['data'] ?? '' } };
  }
  return {
    apiVersion: API_VERSION,
    kind: kind.type,
    ...(mesh !== '' && !meshInLabel ? { mesh } : {}),
    metadata,
    [specField(kind)]: spec,
    ...(kind.statusSchema !== undefined && resource.status !== undefined ? { status: resource.status } : {}),
  };
}

/** Object name, namespace and labels: `web.shop` with namespace label `shop` is `web` in `shop`. */
function homeOf(
  kind: Kind,
  resource: Resource,
  options: KubernetesOptions & { readonly namespace?: string },
): { readonly name: string; readonly namespace: string; readonly labels: Readonly<Record<string, string>> } {
  const { name, labels } = resource.meta;
  if (kind.kubernetesScope === 'Cluster') return { name, namespace: '', labels };
  const own = labels[LABEL_NAMESPACE];
  if (
    own !== undefined &&
    own !== options.systemNamespace &&
    own !== '' &&
    name === `${displayName(resource.meta)}.${own}`
  ) {
    const { [LABEL_NAMESPACE]: _namespace, [LABEL_DISPLAY_NAME]: _display, ...rest } = labels;
    return { name: displayName(resource.meta), namespace: options.namespace ?? own, labels: rest };
  }
  return { name, namespace: options.namespace ?? options.systemNamespace, labels };
}

/** DataplaneInsight keeps its data under `status` in Kuma's CRD. */
function specField(kind: Kind): 'spec' | 'status' {
  return kind.type === 'DataplaneInsight' ? 'status' : 'spec';
}

function meshOf(
  kind: Kind,
  object: Readonly<Record<string, unknown>>,
  labels: Readonly<Record<string, string>>,
): string {
  const mesh = textField(kind, object['mesh'], 'mesh');
  if (mesh !== '') return mesh;
  const label = labels[LABEL_MESH];
  return label === undefined || label === '' ? DEFAULT_MESH : label;
}

/** `data.value` (base64) or `stringData.value` (text), which wins as in Kubernetes. */
function secretSpecOf(kind: Kind, object: Readonly<Record<string, unknown>>): unknown {
  const { data = {}, stringData = {} } = object as { data?: unknown; stringData?: unknown };
  if (!isJsonObject(data ?? {}) || !isJsonObject(stringData ?? {}))
    throw malformed(kind.type, 'data: expected an object');
  const plain = isJsonObject(stringData) ? stringData['value'] : undefined;
  if (typeof plain === 'string') return { data: Buffer.from(plain, 'utf8').toString('base64') };
  return { data: isJsonObject(data) ? data['value'] : undefined };
}

function textField(kind: Kind, value: unknown, field: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw malformed(kind.type, `${field}: expected a string, got ${typeof value}`);
  return value;
}
