import { checkMeta } from '../../resources/body-checks.ts';
import type { Kind } from '../../resources/kind.ts';
import { prepareResource, withDefaults } from '../../resources/prepare.ts';
import type { Resource, Violation } from '../../resources/resource.ts';
import { LABEL_MESH, LABEL_NAMESPACE, LABEL_ORIGIN } from '../../resources/well-known.ts';
import { rehearsalViolations, writeViolations } from '../../resources/write-checks.ts';
import type { AdmissionRequest, JsonObject } from './admission-review.ts';
import { kindOfRequest, placementProblem, type WebhookContext } from './context.ts';
import { deleteVerdict } from './delete-verdict.ts';
import { sameJson } from './json-patch.ts';
import { inObject, labelsOf, parseObject } from './parse-object.ts';
import { ALLOWED, badObject, forbidden, invalid, type Verdict, type Webhook } from './verdict.ts';

/**
 * The checks of a PUT and a DELETE of the REST API, on Kubernetes objects. Everything the object itself says is answered at once; what needs
 * plug-ins, secrets or other resources only when the rest is right. Reads only, so a dry run is the same.
 */
export function createValidateWebhook(context: WebhookContext): Webhook {
  return {
    path: '/validate-kuma-io-v1alpha1',
    name: 'validate',
    async handle(request) {
      const kind = kindOfRequest(context.registry, request);
      if (kind === undefined) return ALLOWED;
      switch (request.operation) {
        case 'CREATE':
        case 'UPDATE':
          return request.object === undefined ? ALLOWED : checkWrite(context, kind, request, request.object);
        case 'DELETE':
          return deleteVerdict(context, kind, request);
        case 'CONNECT':
          return ALLOWED;
        default:
          return request.operation satisfies never;
      }
    },
  };
}

async function checkWrite(
  context: WebhookContext,
  kind: Kind,
  request: AdmissionRequest,
  object: JsonObject,
): Promise<Verdict> {
  const isSystem = context.systemUsers.has(request.username);
  const problem = placementProblem(kind, labelsOf(object), request.namespace, context.labels);
  if (problem !== undefined && !isSystem) return forbidden(problem);
  // The last updates of an object that is being deleted take its finalizers away; nothing may hold them up.
  if (request.operation === 'UPDATE' && typeof (object['metadata'] as JsonObject)['deletionTimestamp'] === 'string')
    return ALLOWED;
  const parsed = parseObject(kind, object, context.labels);
  if ('error' in parsed) {
    const { violations, message } = parsed.error;
    return violations.length > 0 ? invalid(request, violations) : badObject(message);
  }
  const old = request.oldObject && parseObject(kind, request.oldObject, context.labels);
  const stored = request.operation === 'UPDATE' && old !== undefined && 'resource' in old ? old.resource : undefined;
  const given = withDefaults(kind, parsed.resource);
  const labels = labelsOf(object);
  const violations = [
    ...kind.validate(given.spec, given).map((violation) => inObject(kind, violation)),
    // The object's own labels: those made of its name and namespace are ours to get right.
    ...checkMeta(kind, { ...given.meta, labels }, context.labels).map((violation) => inObject(kind, violation)),
    ...namespaceLabel(labels, request.namespace),
    ...(stored === undefined || stored.meta.mesh === given.meta.mesh ? [] : [meshChanged(kind)]),
  ];
  if (violations.length > 0) return invalid(request, violations);
  const late = await lateViolations(context, kind, request, given, stored);
  if (late.length > 0) return invalid(request, late);
  return { allowed: true, warnings: kind.warnings?.(given.spec, given) ?? [] };
}

/** What needs more than the object. An update that leaves the spec alone has no news for it: labels can be set while a CA is unreachable. */
async function lateViolations(
  context: WebhookContext,
  kind: Kind,
  { dryRun }: AdmissionRequest,
  given: Resource,
  stored: Resource | undefined,
): Promise<readonly Violation[]> {
  if (stored !== undefined && sameJson(stored.spec, given.spec)) return [];
  const { mesh } = given.meta;
  const owner = kind.scope === 'Mesh' ? await context.meshes.find(mesh) : undefined;
  if (kind.scope === 'Mesh' && owner === undefined)
    return [{ field: 'mesh', message: `mesh of name ${mesh} is not found` }];
  const resource = prepareResource(context.labels, kind, given, stored);
  const checked = await writeViolations(context.meshChecks, kind, resource, stored, owner?.mesh);
  const isLast = checked.length === 0 && !dryRun;
  const found = isLast ? await rehearsalViolations(context.meshChecks, kind, resource, stored) : checked;
  return found.map((violation) => inObject(kind, violation));
}

/** The namespace decides a policy's reach, so its label may not name another one; a synced copy keeps the one it came from. */
function namespaceLabel(labels: Readonly<Record<string, string>>, namespace: string): readonly Violation[] {
  const label = labels[LABEL_NAMESPACE];
  if (label === undefined || namespace === '' || label === namespace || labels[LABEL_ORIGIN] === 'global') return [];
  return [
    { field: `metadata.labels["${LABEL_NAMESPACE}"]`, message: `must be the namespace of the object: ${namespace}` },
  ];
}

/** A mesh is part of what a resource is; its owner reference would point to the old one. */
function meshChanged(kind: Kind): Violation {
  return {
    field: `metadata.labels["${LABEL_MESH}"]`,
    message: `cannot change mesh of the ${kind.type}. Delete the ${kind.type} first and apply it again.`,
  };
}
