import { AccessDenied } from '../auth/access.ts';
import { AuthError } from '../auth/errors.ts';
import type { Violation } from '../resources/resource.ts';
import { StoreError } from '../store/store.ts';

/** A refusal as the API shows it: status, title, detail, and the fields at fault. Source: compatibility reference 5.1. */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly violations: readonly Violation[];
  /** When it is worth asking again; sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;
  constructor(
    status: number,
    title: string,
    detail: string,
    options?: { violations?: readonly Violation[]; retryAfterSeconds?: number; cause?: unknown },
  ) {
    super(detail, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Problem';
    this.status = status;
    this.title = title;
    this.violations = options?.violations ?? [];
    this.retryAfterSeconds = options?.retryAfterSeconds;
  }
}

/** Body of a refusal. `details` and `causes` are copies for old clients. */
export interface ProblemBody {
  readonly type: '/std-errors';
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly instance?: string;
  readonly invalid_parameters?: readonly { readonly field: string; readonly reason: string }[];
  readonly details: string;
  readonly causes?: readonly { readonly field: string; readonly message: string }[];
}

export function problemBody(problem: Problem): ProblemBody {
  const { status, title, message: detail, violations } = problem;
  if (violations.length === 0) return { type: '/std-errors', status, title, detail, details: detail };
  return {
    type: '/std-errors',
    status,
    title,
    detail,
    invalid_parameters: violations.map(({ field, message }) => ({ field, reason: message })),
    details: detail,
    causes: violations.map(({ field, message }) => ({ field, message })),
  };
}

export const notFound = (title: string) => new Problem(404, title, 'Not found');
export const badRequest = (detail: string, cause?: unknown) => new Problem(400, 'Bad Request', detail, { cause });
export const notAllowed = (detail: string) => new Problem(405, 'Method not allowed', detail);

export const tooMany = (detail: string, retryAfterSeconds: number) =>
  new Problem(429, 'Too many requests', `${detail}; try again in ${retryAfterSeconds} s`, { retryAfterSeconds });

/** Throws when there is any violation. */
export function requireValid(title: string, violations: readonly Violation[]): void {
  if (violations.length > 0) throw new Problem(400, title, 'Resource is not valid', { violations });
}

/**
 * Any error as a refusal, under the title of the operation that met it. What is not known to be the client's fault is 500 without a reason:
 * the cause is for the log.
 */
export function toProblem(error: unknown, title: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof AccessDenied) return new Problem(403, 'Access Denied', error.message);
  if (error instanceof AuthError) return authProblem(error, title);
  if (error instanceof StoreError) return storeProblem(error, title);
  return new Problem(500, title, 'Internal Server Error', { cause: error });
}

function storeProblem(error: StoreError, title: string): Problem {
  switch (error.code) {
    case 'not-found':
      return notFound(title);
    case 'already-exists':
    case 'conflict':
      return new Problem(409, 'Conflict', error.message);
    case 'invalid-offset':
      return new Problem(400, title, 'Invalid offset', {
        violations: [{ field: 'offset', message: 'Invalid format' }],
      });
    case 'refused':
      return new Problem(400, title, error.message, { cause: error });
    case 'unavailable':
      return new Problem(503, 'Service unavailable', 'the store does not answer, try again later', { cause: error });
    default:
      return new Problem(500, title, 'Internal Server Error', { cause: error.code satisfies never });
  }
}

/** Errors of issuing a token; a bad credential of the caller is made into 401 where it is read. */
function authProblem(error: AuthError, title: string): Problem {
  if (error.code === 'unknown-key') return new Problem(404, 'Signing Key not found', error.message);
  if (error.code === 'issuer-disabled') return new Problem(400, title, error.message);
  return new Problem(500, title, error.message, { cause: error });
}

/** Runs one stage of an operation; what it throws comes out as a `Problem` under `title`. */
export async function inStage<T>(title: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw toProblem(error, title);
  }
}
