import { KubeError, type KubeErrorCode } from './client.ts';

/** A `Status` object of the API server, as far as it is read. */
interface StatusAnswer {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly field?: string; readonly message?: string }[];
  };
}

/**
 * The error of an answer that is no success. `what` says what was tried (`create pods shop/web`), `body` is the text of the answer.
 * Codes as in Kubernetes' API conventions, "HTTP status codes".
 */
export function errorOfAnswer(what: string, status: number, body: string, retryAfter?: string): KubeError {
  const answer = parseStatus(body);
  const seconds = answer.details?.retryAfterSeconds ?? (retryAfter === undefined ? Number.NaN : Number(retryAfter));
  const causes = answer.details?.causes;
  return new KubeError(codeOf(status, answer.reason), `${what}: ${answer.message ?? `HTTP ${status}`}`, {
    status,
    ...(causes !== undefined && { causes }),
    ...(Number.isFinite(seconds) && { retryAfterMs: seconds * 1000 }),
  });
}

/** The error of an `ERROR` event of a watch: its object is a `Status`. */
export function errorOfStatus(what: string, status: unknown): KubeError {
  const { code = 500 } = (status ?? {}) as StatusAnswer;
  return errorOfAnswer(what, code, JSON.stringify(status));
}

function codeOf(status: number, reason: string | undefined): KubeErrorCode {
  switch (status) {
    case 401:
      return 'unauthorized';
    case 403:
      return 'forbidden';
    case 404:
      return 'not-found';
    case 409:
      return reason === 'AlreadyExists' ? 'already-exists' : 'conflict';
    case 410:
      return 'gone';
    case 429:
      return 'throttled';
    default:
      return status >= 500 || status < 400 ? 'unavailable' : 'invalid';
  }
}

/** What stands in front of an API server may answer with no JSON. */
function parseStatus(body: string): StatusAnswer {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null ? (parsed as StatusAnswer) : {};
  } catch {
    const text = body.trim().slice(0, 200);
    return text === '' ? {} : { message: text };
  }
}
