import type { Kind } from '../../resources/kind.ts';
import { isJsonObject } from '../../resources/plain-json.ts';
import type { Violation } from '../../resources/resource.ts';
import { LABEL_MESH } from '../../resources/well-known.ts';
import type { AdmissionRequest, JsonObject } from './admission-review.ts';
import type { WebhookContext } from './context.ts';
import { deleteVerdict } from './delete-verdict.ts';
import { labelsOf } from './parse-object.ts';
import { ALLOWED, invalid, type Verdict, type Webhook } from './verdict.ts';

const MESH_FIELD = `metadata.labels["${LABEL_MESH}"]`;

/** v1 Secrets of our two types in the system namespace. Source: section 3 of the compatibility reference (Kuma 2.11 `SecretValidator`). */
export function createSecretWebhook(context: WebhookContext): Webhook {
  return {
    path: '/validate-v1-secret',
    name: 'validate-secret',
    async handle(request) {
      const secret = request.object ?? request.oldObject;
      const kind = secret && secretKind(context, request, secret);
      if (kind === undefined) return ALLOWED;
      return request.operation === 'DELETE' ? deleteVerdict(context, kind, request) : checkWrite(kind, request);
    },
  };
}

function secretKind(context: WebhookContext, request: AdmissionRequest, secret: JsonObject): Kind | undefined {
  const { group, kind } = request.kind;
  if (group !== '' || kind !== 'Secret' || request.namespace !== context.labels.systemNamespace) return undefined;
  if (secret['type'] === 'system.kuma.io/secret') return context.registry.byType('Secret');
  return secret['type'] === 'system.kuma.io/global-secret' ? context.registry.byType('GlobalSecret') : undefined;
}

function checkWrite(kind: Kind, request: AdmissionRequest): Verdict {
  const { object, oldObject } = request;
  if (object === undefined) return ALLOWED;
  const label = labelsOf(object)[LABEL_MESH];
  const violations: Violation[] = [];
  if (kind.type === 'GlobalSecret' && label !== undefined) {
    violations.push({ field: MESH_FIELD, message: 'mesh cannot be set on global secret' });
  }
  if (kind.type === 'Secret' && oldObject !== undefined && meshOf(oldObject) !== meshOf(object)) {
    violations.push({
      field: MESH_FIELD,
      message: 'cannot change mesh of the Secret. Delete the Secret first and apply it again.',
    });
  }
  if (!hasValue(object)) violations.push({ field: 'data.value', message: 'cannot be empty.' });
  return violations.length === 0 ? ALLOWED : invalid(request, violations);
}

function meshOf(secret: JsonObject): string {
  return labelsOf(secret)[LABEL_MESH] || 'default';
}

function hasValue(secret: JsonObject): boolean {
  const { data } = secret;
  const value = isJsonObject(data) ? data['value'] : undefined;
  return typeof value === 'string' && value !== '';
}
