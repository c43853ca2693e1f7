import type { Kind } from '../../resources/kind.ts';
import { prepareResource, withDefaults } from '../../resources/prepare.ts';
import type { Resource } from '../../resources/resource.ts';
import { specJson } from '../../resources/spec-parse.ts';
import { LABEL_DISPLAY_NAME, LABEL_NAMESPACE, LABEL_ORIGIN } from '../../resources/well-known.ts';
import type { JsonObject } from './admission-review.ts';
import { kindOfRequest, placementProblem, type WebhookContext } from './context.ts';
import { diffJson, fillIn, type PatchOperation } from './json-patch.ts';
import { labelsOf, parseObject } from './parse-object.ts';
import { ALLOWED, forbidden, type Webhook } from './verdict.ts';

/**
 * Defaults and computed labels of our kinds, the same as REST stores. Touches only what needs a default. An object that is no resource passes:
 * the validating webhook refuses it, with every field.
 */
export function createDefaultWebhook(context: WebhookContext): Webhook {
  return {
    path: '/default-kuma-io-v1alpha1-mesh',
    name: 'default',
    async handle(request) {
      const kind = kindOfRequest(context.registry, request);
      const { object } = request;
      if (kind === undefined || object === undefined || request.operation === 'DELETE') return ALLOWED;
      const labels = labelsOf(object);
      // Before the origin is filled in: a federated zone wants people to say it.
      const problem = placementProblem(kind, labels, request.namespace, context.labels);
      if (problem !== undefined && !context.systemUsers.has(request.username)) return forbidden(problem);
      const parsed = parseObject(kind, object, context.labels);
      if (!('resource' in parsed)) return ALLOWED;
      const given = withDefaults(kind, withOwnLabels(parsed.resource, labels, request.namespace));
      const stored = request.oldObject && parseObject(kind, request.oldObject, context.labels);
      const wanted = prepareResource(
        context.labels,
        kind,
        given,
        request.operation === 'UPDATE' && stored !== undefined && 'resource' in stored ? stored.resource : undefined,
      );
      return {
        allowed: true,
        patch: [
          ...labelPatch(object, labels, wanted.meta.labels),
          ...specPatch(kind, object, parsed.resource, wanted.spec),
        ],
      };
    },
  };
}

/** Labels of the object, and its namespace: without the display name, which the object's own name is. A synced copy keeps what it came with. */
function withOwnLabels(resource: Resource, labels: Readonly<Record<string, string>>, namespace: string): Resource {
  const { [LABEL_DISPLAY_NAME]: _display, [LABEL_NAMESPACE]: _namespace, ...parsed } = resource.meta.labels;
  const isCopy = labels[LABEL_ORIGIN] === 'global';
  return {
    ...resource,
    meta: {
      ...resource.meta,
      labels: { ...parsed, ...(namespace === '' || isCopy ? {} : { [LABEL_NAMESPACE]: namespace }), ...labels },
    },
  };
}

function labelPatch(
  object: JsonObject,
  own: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): readonly PatchOperation[] {
  const { labels } = object['metadata'] as { labels?: unknown };
  if (typeof labels === 'object' && labels !== null) return diffJson(own, wanted, '/metadata/labels');
  return Object.keys(wanted).length === 0 ? [] : [{ op: 'add', path: '/metadata/labels', value: wanted }];
}

function specPatch(kind: Kind, object: JsonObject, parsed: Resource, wanted: unknown): readonly PatchOperation[] {
  if (wanted === parsed.spec && kind.model === 'inline') return [];
  const raw = object['spec'];
  // A new-model schema takes nothing it does not know, so the object's own spec is its tidied form; its schema may fill in defaults.
  const before = kind.model === 'inline' ? specJson(kind, parsed.spec) : raw;
  const after = fillIn(raw, before, specJson(kind, wanted));
  return raw === undefined ? [{ op: 'add', path: '/spec', value: after }] : diffJson(raw, after, '/spec');
}
