import type { Violation } from '../../resources/resource.ts';
import type { AdmissionRequest } from './admission-review.ts';
import type { PatchOperation } from './json-patch.ts';

/** A refusal as clients of the API server see it. Source: Kubernetes `meta/v1.Status`. */
export interface RefusalStatus {
  readonly status: 'Failure';
  readonly code: 400 | 403 | 422;
  readonly reason: 'BadRequest' | 'Forbidden' | 'Invalid';
  readonly message: string;
  readonly details?: {
    readonly name: string;
    readonly kind: string;
    readonly causes: readonly { readonly reason: string; readonly message: string; readonly field: string }[];
  };
}

/** What a webhook says. `patch` only from a mutating one. */
export type Verdict =
  | {
      readonly allowed: true;
      readonly patch?: readonly PatchOperation[];
      readonly warnings?: readonly string[];
    }
  | { readonly allowed: false; readonly status: RefusalStatus };

/** One webhook: pure but for what it was handed. */
export interface Webhook {
  /** Path of the URL, as in the webhook configuration. */
  readonly path: string;
  /** Name in metrics and logs. */
  readonly name: string;
  /** What it throws is no answer: the API server goes by the failure policy. */
  handle(request: AdmissionRequest): Promise<Verdict>;
}

export const ALLOWED: Verdict = { allowed: true };

/** 422 with every violation; `field`s are paths in the Kubernetes object. Source: Kuma 2.11 `webhooks.convertValidationErrorOf`. */
export function invalid(request: AdmissionRequest, violations: readonly Violation[]): Verdict {
  return {
    allowed: false,
    status: {
      status: 'Failure',
      code: 422,
      reason: 'Invalid',
      message: violations.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; '),
      details: {
        name: request.name,
        kind: request.kind.kind,
        causes: violations.map(({ field, message }) => ({ reason: 'FieldValueInvalid', message, field })),
      },
    },
  };
}

/** 403: whatever the object says, not here or not by this user. */
export function forbidden(message: string): Verdict {
  return { allowed: false, status: { status: 'Failure', code: 403, reason: 'Forbidden', message } };
}

/** 400: not an object of its kind. */
export function badObject(message: string): Verdict {
  return { allowed: false, status: { status: 'Failure', code: 400, reason: 'BadRequest', message } };
}
