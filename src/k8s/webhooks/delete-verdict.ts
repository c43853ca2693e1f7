import type { Kind } from '../../resources/kind.ts';
import { deleteViolations } from '../../resources/write-checks.ts';
import type { AdmissionRequest } from './admission-review.ts';
import type { WebhookContext } from './context.ts';
import { inObject, parseObject } from './parse-object.ts';
import { ALLOWED, invalid, type Verdict } from './verdict.ts';

/**
 * Whether the object may be deleted. Those who tidy up may always, and what can't even be read, as an older version may have left it, can be
 * thrown away.
 */
export async function deleteVerdict(context: WebhookContext, kind: Kind, request: AdmissionRequest): Promise<Verdict> {
  if (context.systemUsers.has(request.username) || request.oldObject === undefined) return ALLOWED;
  const parsed = parseObject(kind, request.oldObject, context.labels);
  if (!('resource' in parsed)) return ALLOWED;
  const violations = await deleteViolations(context.meshChecks, context.secretChecks, kind, parsed.resource);
  if (violations.length === 0) return ALLOWED;
  return invalid(
    request,
    violations.map((violation) => inObject(kind, violation)),
  );
}
