import type { z } from 'zod';
import type { Kind } from './kind.ts';
import { ResourceParseError } from './parse-error.ts';
import { isJsonObject } from './plain-json.ts';
import { fromProtoJson, ProtoJsonError, toProtoJson } from './proto-json.ts';
import { schemaViolations } from './schema-violations.ts';

/**
 * The kind's spec from its JSON form. Old-model kinds: proto3 JSON, unknown fields ignored, a value of another type is `malformed`.
 * New-model kinds: the schema is strict, and all that breaks it is reported as `invalid`. Throws `ResourceParseError`.
 */
export function parseSpec(kind: Kind, spec: unknown): unknown {
  return kind.model === 'inline' ? parseInline(kind, spec) : parseStrict(kind, kind.schema, spec ?? {}, 'spec');
}

/** The kind's status; `undefined` for kinds without one, and where the input has none. Throws as `parseSpec`. */
export function parseStatus(kind: Kind, status: unknown): unknown {
  if (kind.statusSchema === undefined || status === undefined || status === null) return undefined;
  return parseStrict(kind, kind.statusSchema, status, 'status');
}

/** JSON form of a spec, as REST prints it: zero values of old-model kinds left out. */
export function specJson(kind: Kind, spec: unknown): Readonly<Record<string, unknown>> {
  if (kind.model === 'inline') return toProtoJson(kind.schema, spec);
  return isJsonObject(spec) ? spec : {};
}

function parseInline(kind: Kind, spec: unknown): unknown {
  try {
    return fromProtoJson(kind.schema, spec ?? {});
  } catch (error) {
    if (!(error instanceof ProtoJsonError)) throw error;
    // A value could be part of a secret: its kind says only where the problem is.
    throw malformed(
      kind.type,
      kind.access === 'admin' ? `${error.path || 'data'}: not a value of this field` : error.message,
    );
  }
}

function parseStrict(kind: Kind, schema: z.ZodType, value: unknown, root: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const violations = schemaViolations(parsed.error, value, root);
  throw new ResourceParseError(
    'invalid',
    `invalid ${kind.type} object: ${violations.length} schema violations`,
    violations,
  );
}

/** The one text for "this is no object of that kind"; the prefix is part of the contract (Kuma 2.11). */
export function malformed(type: string, reason: string): ResourceParseError {
  return new ResourceParseError('malformed', `invalid ${type} object: ${JSON.stringify(reason)}`);
}
