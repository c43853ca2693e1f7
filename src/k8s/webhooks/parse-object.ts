import type { Kind } from '../../resources/kind.ts';
import { parseKubernetes } from '../../resources/kubernetes.ts';
import { ResourceParseError } from '../../resources/parse-error.ts';
import type { Resource, Violation } from '../../resources/resource.ts';
import type { JsonObject } from './admission-review.ts';
import type { WebhookContext } from './context.ts';

/** A Kubernetes object as a resource, or why it is none. */
export type ParsedObject = { readonly resource: Resource } | { readonly error: ResourceParseError };

/** An object whose name the API server still has to make is called `new`: nothing here depends on it. */
export function parseObject(kind: Kind, object: JsonObject, context: WebhookContext['labels']): ParsedObject {
  const metadata = object['metadata'] as JsonObject;
  const named = metadata['name'] === '' ? { ...object, metadata: { ...metadata, name: 'new' } } : object;
  try {
    return { resource: parseKubernetes(kind, named, context) };
  } catch (error) {
    if (error instanceof ResourceParseError) return { error };
    throw error;
  }
}

/** Labels as the object has them; what is no text is left out. */
export function labelsOf(object: JsonObject): Readonly<Record<string, string>> {
  const { labels } = object['metadata'] as { labels?: unknown };
  if (typeof labels !== 'object' || labels === null) return {};
  return Object.fromEntries(Object.entries(labels).filter((entry) => typeof entry[1] === 'string'));
}

/**
 * A violation's path in the Kubernetes object: what is about the spec stands below `spec.`, name and labels below `metadata.`; `mesh` stays,
 * it is a label here and a field there. Source: sections 1.2 and 3 of the compatibility reference.
 */
export function inObject(kind: Kind, { field, message }: Violation): Violation {
  if (field === 'mesh' || field === '') return { field, message };
  if (field === 'name' || field.startsWith('labels[')) return { field: `metadata.${field}`, message };
  return { field: kind.model === 'spec' ? field : `spec.${field}`, message };
}
