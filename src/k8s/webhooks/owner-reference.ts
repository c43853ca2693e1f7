import type { OwnerReference } from '../api/object.ts';
import { kindOfRequest, type WebhookContext } from './context.ts';
import { parseObject } from './parse-object.ts';
import { ALLOWED, invalid, type Webhook } from './verdict.ts';

/**
 * A new object of a mesh is owned by its Mesh, so that it goes with it. An object that has an owner already keeps it alone: garbage collection
 * waits for the last owner, so a second one would keep it alive. `blockOwnerDeletion` stays unset: it would ask the user for rights on the Mesh.
 */
export function createOwnerReferenceWebhook(context: WebhookContext): Webhook {
  return {
    path: '/owner-reference-kuma-io-v1alpha1',
    name: 'owner-reference',
    async handle(request) {
      const kind = kindOfRequest(context.registry, request);
      const { object } = request;
      if (kind?.scope !== 'Mesh' || object === undefined || request.operation !== 'CREATE') return ALLOWED;
      const { ownerReferences } = object['metadata'] as { ownerReferences?: unknown };
      if (Array.isArray(ownerReferences) && ownerReferences.length > 0) return ALLOWED;
      const parsed = parseObject(kind, object, context.labels);
      if (!('resource' in parsed)) return ALLOWED; // Refused by the validating webhook, with its fields.
      const { mesh } = parsed.resource.meta;
      const found = await context.meshes.find(mesh);
      if (found === undefined)
        return invalid(request, [{ field: 'mesh', message: `mesh of name ${mesh} is not found` }]);
      const owner: OwnerReference = { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: mesh, uid: found.uid };
      return { allowed: true, patch: [{ op: 'add', path: '/metadata/ownerReferences', value: [owner] }] };
    },
  };
}
