import { hasStatus } from '../../k8s/api/crds.ts';
import { kindResourceType } from '../../k8s/api/kind-type.ts';
import type { KubeObject, ResourceType } from '../../k8s/api/object.ts';
import type { Kind } from '../../resources/kind.ts';
import { configKind } from '../../resources/kinds/config.ts';
import { parseKubernetes, secretTypeOf, toKubernetes } from '../../resources/kubernetes.ts';
import type { Resource } from '../../resources/resource.ts';

/** How the resources of one kind are kept in a cluster. */
export interface ObjectForm {
  readonly kind: Kind;
  readonly type: ResourceType;
  /** What of the collection is ours; the rest is neither read nor written. */
  readonly selection: {
    readonly namespace?: string;
    readonly labelSelector?: string;
    readonly fieldSelector?: string;
  };
  /** The object of a resource, as it is created. */
  toObject(resource: Resource): KubeObject;
  /** The resource of an object of the selection; times and version are left ''. Throws `ResourceParseError`. */
  toResource(object: KubeObject): Resource;
  /** Top-level fields that a write replaces, besides the labels. */
  readonly dataFields: readonly string[];
  /** Status is written by a call of its own. */
  readonly statusApart: boolean;
  /** A JSON patch test that fails on an object that is not ours. */
  readonly ownership: readonly JsonPatchTest[];
}

export interface JsonPatchTest {
  readonly op: 'test';
  readonly path: string;
  readonly value: unknown;
}

/** Config is internal and has no form of its own in Kuma's group: it is a ConfigMap of the system namespace with this label. */
const CONFIG_LABEL = 'weft.io/config';
const CONFIG_PREFIX = 'weft-config-';

/** The form of a kind: an object of `kuma.io`, a v1 Secret of our type, or a v1 ConfigMap of ours. */
export function objectFormOf(kind: Kind, systemNamespace: string): ObjectForm {
  if (kind.type === configKind.type) return configMapForm(kind, systemNamespace);
  const options = { systemNamespace };
  const common = {
    kind,
    type: kindResourceType(kind),
    // Our own kinds, written as plain JSON of this shape.
    toObject: (resource: Resource) => toKubernetes(kind, resource, options) as unknown as KubeObject,
    toResource: (object: KubeObject) => parseKubernetes(kind, object, options),
  };
  const secretType = secretTypeOf(kind);
  if (secretType === undefined) {
    return {
      ...common,
      selection: {},
      dataFields: [kind.type === 'DataplaneInsight' ? 'status' : 'spec'],
      statusApart: kind.statusSchema !== undefined && hasStatus(kind),
      ownership: [],
    };
  }
  return {
    ...common,
    selection: { namespace: systemNamespace, fieldSelector: `type=${secretType}` },
    dataFields: ['data'],
    statusApart: false,
    ownership: [{ op: 'test', path: '/type', value: secretType }],
  };
}

function configMapForm(kind: Kind, systemNamespace: string): ObjectForm {
  return {
    kind,
    type: { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true },
    selection: { namespace: systemNamespace, labelSelector: `${CONFIG_LABEL}=true` },
    toObject({ meta, spec }): KubeObject & { readonly data: unknown } {
      return {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: CONFIG_PREFIX + meta.name,
          namespace: systemNamespace,
          labels: { ...meta.labels, [CONFIG_LABEL]: 'true' },
        },
        data: spec,
      };
    },
    toResource(object) {
      const { [CONFIG_LABEL]: _ours, ...labels } = object.metadata.labels ?? {};
      const name = object.metadata.name.slice(CONFIG_PREFIX.length);
      const meta = { mesh: '', name, labels, creationTime: '', modificationTime: '', version: '' };
      return { type: kind.type, meta, spec: (object as { data?: unknown }).data ?? {} };
    },
    dataFields: ['data'],
    statusApart: false,
    ownership: [{ op: 'test', path: `/metadata/labels/${CONFIG_LABEL.replace('/', '~1')}`, value: 'true' }],
  };
}
