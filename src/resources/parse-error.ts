import type { Violation } from './resource.ts';

/** `malformed`: no resource at all (wrong shape or type of a value); `unknown-type`: no such kind; `invalid`: refused by its kind's schema. */
export type ResourceParseErrorCode = 'malformed' | 'unknown-type' | 'invalid';

/** Text or an object that is no resource. `violations` is filled for `invalid` only. The message never holds values of a Secret. */
export class ResourceParseError extends Error {
  readonly code: ResourceParseErrorCode;
  readonly violations: readonly Violation[];
  constructor(code: ResourceParseErrorCode, message: string, violations: readonly Violation[] = []) {
    super(message);
    this.name = 'ResourceParseError';
    this.code = code;
    this.violations = violations;
  }
}
