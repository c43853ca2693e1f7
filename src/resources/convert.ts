import type { Kind } from './kind.ts';
import { type KubernetesOptions, parseKubernetes, secretTypeOf } from './kubernetes.ts';
import { ResourceParseError } from './parse-error.ts';
import { isJsonObject } from './plain-json.ts';
import type { Registry } from './registry.ts';
import type { Resource } from './resource.ts';
import { parseUniversal } from './universal.ts';

/**
 * From what people write to what the store keeps, and back. One resource has two written forms: Universal (`universal.ts`) and
 * Kubernetes (`kubernetes.ts`); `parseResource` tells them apart.
 */
export { type KubernetesOptions, toKubernetes } from './kubernetes.ts';
export { ResourceParseError, type ResourceParseErrorCode } from './parse-error.ts';
export { type ParsedBody, parseUniversal, toUniversal } from './universal.ts';

/**
 * A resource from either form: with `apiVersion` it is the Kubernetes one. Throws `ResourceParseError`: `malformed`, `unknown-type`,
 * `invalid`. Nothing but the schema is checked; `kind.validate` and name rules come after.
 */
export function parseResource(registry: Registry, object: unknown, options: KubernetesOptions): Resource {
  if (!isJsonObject(object))
    throw new ResourceParseError('malformed', 'parse resource: expected an object with "type" or "apiVersion"');
  if (Object.hasOwn(object, 'apiVersion')) {
    return parseKubernetes(kindOfObject(registry, object), object, options);
  }
  const type = object['type'];
  if (typeof type !== 'string' || type === '') {
    throw new ResourceParseError('malformed', 'parse resource: "type" is missing: name the kind, such as "type: Mesh"');
  }
  return parseUniversal(known(registry, type), object).resource;
}

/** Several objects: a Kubernetes `List` counts as its items. */
export function parseResources(
  registry: Registry,
  objects: readonly unknown[],
  options: KubernetesOptions,
): readonly Resource[] {
  return objects
    .flatMap((object) =>
      isJsonObject(object) && object['kind'] === 'List' && Array.isArray(object['items']) ? object['items'] : [object],
    )
    .map((object) => parseResource(registry, object, options));
}

function kindOfObject(registry: Registry, object: Readonly<Record<string, unknown>>): Kind {
  const { apiVersion, kind, type } = object;
  if (typeof kind !== 'string' || kind === '') {
    throw new ResourceParseError('malformed', 'parse resource: "kind" is missing from the Kubernetes object');
  }
  if (apiVersion === 'v1' && kind === 'Secret') {
    const found = registry.list().find((one) => secretTypeOf(one) === type);
    if (found !== undefined) return found;
    throw new ResourceParseError(
      'unknown-type',
      `parse resource: Kubernetes Secret of type ${JSON.stringify(type)} is none of ours: use system.kuma.io/secret or system.kuma.io/global-secret`,
    );
  }
  if (typeof apiVersion !== 'string' || !apiVersion.startsWith('kuma.io/')) {
    throw new ResourceParseError(
      'unknown-type',
      `parse resource: apiVersion ${JSON.stringify(apiVersion)} is not served: use kuma.io/v1alpha1`,
    );
  }
  return known(registry, kind);
}

function known(registry: Registry, type: string): Kind {
  const kind = registry.byType(type);
  if (kind === undefined || kind.internal) {
    throw new ResourceParseError(
      'unknown-type',
      `parse resource: no kind is called ${JSON.stringify(type.slice(0, 80))}`,
    );
  }
  return kind;
}
