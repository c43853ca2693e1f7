/** The JSON Schema of a plug-in's `conf`. Runs in the plug-in's own process: a schema that takes for ever harms nobody else. */
import type { ConfViolation } from '@weft/ca-backend';
import { z } from 'zod';
import { nearest } from '../../lib/nearest.ts';

/** Why `schema` is none that can be used; `undefined`: it can. */
export function confSchemaProblem(schema: Readonly<Record<string, unknown>>): string | undefined {
  if (schema['type'] !== 'object') return 'has to be of type "object"';
  try {
    z.fromJSONSchema(schema);
    return undefined;
  } catch (error) {
    return `cannot be used: ${error instanceof Error ? error.message : 'it is no JSON Schema'}`;
  }
}

/** Every way in which `conf` does not fit. No message holds a value of `conf`. */
export function confViolations(schema: Readonly<Record<string, unknown>>, conf: unknown): readonly ConfViolation[] {
  const read = z.fromJSONSchema(withoutFormats(schema)).safeParse(conf, { reportInput: false });
  return read.success ? [] : read.error.issues.flatMap((issue) => violationsOf(issue, schema));
}

/** `format: "uri"` is looked at by the control plane, which also knows where it may call. */
function withoutFormats(schema: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(schema, (key, value) => (key === 'format' && value === 'uri' ? undefined : value)));
}

function violationsOf(issue: z.core.$ZodIssue, schema: Readonly<Record<string, unknown>>): readonly ConfViolation[] {
  const field = fieldOf(issue.path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = issue.path.length === 0 ? Object.keys(Object(schema['properties'])) : [];
      return issue.keys.map((key) => {
        const meant = nearest(key, known);
        return {
          field: fieldOf([...issue.path, key]),
          message: meant === undefined ? 'unknown field' : `unknown field, use "${meant}"`,
        };
      });
    }
    case 'invalid_type':
      return [
        {
          field,
          message: issue.message.endsWith('undefined') ? 'has to be defined' : `has to be of type ${issue.expected}`,
        },
      ];
    case 'invalid_value':
      return [{ field, message: `has to be one of: ${issue.values.map(String).join(', ')}` }];
    default:
      return [{ field, message: issue.message.charAt(0).toLowerCase() + issue.message.slice(1) }];
  }
}

/** `['a', 0, 'b']` is `a[0].b`. */
export function fieldOf(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}
