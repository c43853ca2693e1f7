import type { z } from 'zod';
import type { Violation } from './resource.ts';

/**
 * Violations of a new-model schema, in the paths and texts of kube-openapi, which clients know from Kuma's REST API:
 * field `spec.targetRef.name`, message `in body must be of type string: "number"`. What is not below `spec.` has field '' and the
 * path in the message. `value` is what was parsed, `root` the path it stands at.
 */
export function schemaViolations(error: z.ZodError, value: unknown, root: string): readonly Violation[] {
  return error.issues.flatMap((issue) => violationsOf(issue, value, root));
}

function violationsOf(issue: z.core.$ZodIssue, value: unknown, root: string): readonly Violation[] {
  const path = pathText(root, issue.path);
  const found = valueAt(value, issue.path);
  switch (issue.code) {
    case 'invalid_type':
      return [
        at(
          path,
          found === undefined
            ? 'in body is required'
            : `in body must be of type ${schemaType(issue.expected)}: "${jsonType(found)}"`,
        ),
      ];
    case 'unrecognized_keys':
      return issue.keys.map((key) => at(pathText(path, [key]), 'in body is a forbidden property'));
    case 'invalid_value':
      return [
        at(
          path,
          found === undefined
            ? 'in body is required'
            : `in body should be one of [${issue.values.map(String).join(' ')}]`,
        ),
      ];
    default:
      return [at(path, `in body is not valid: ${issue.message}`)];
  }
}

function at(path: string, message: string): Violation {
  return path.startsWith('spec.') ? { field: path, message } : { field: '', message: `${path} ${message}` };
}

function pathText(root: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (all, part) => (typeof part === 'number' ? `${all}[${part}]` : `${all}.${String(part)}`),
    root,
  );
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (all, part) => (typeof all === 'object' && all !== null ? (all as Record<PropertyKey, unknown>)[part] : undefined),
    value,
  );
}

/** zod's names for types, as JSON Schema calls them. */
function schemaType(expected: string): string {
  if (expected === 'record') return 'object';
  return expected === 'int' ? 'integer' : expected;
}

function jsonType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}
