import { z } from 'zod';

/** A structural OpenAPI v3 schema, as a CustomResourceDefinition holds it. */
export interface StructuralSchema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-int-or-string'?: true;
}

/** What `z.toJSONSchema` gives, as far as it is read here. */
interface JsonSchema extends Omit<StructuralSchema, 'properties' | 'additionalProperties' | 'items'> {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly 'x-proto'?: string;
}

/** Anything: an object, a list, a scalar. */
const FREE: StructuralSchema = { 'x-kubernetes-preserve-unknown-fields': true };
/** An object of which nothing is known. */
export const FREE_OBJECT: StructuralSchema = { type: 'object', ...FREE };

/** What may stand beside `type` and means the same in both dialects. */
const KEPT = [
  'description',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'default',
] as const;

/**
 * The schema of a new-model spec: what it does not name is refused by kubectl and dropped by the API server, as with Kuma's own policies.
 * Alternatives (unions) cannot be structural: they become a free value, and our webhook checks them.
 */
export function strictSchema(schema: z.ZodType): StructuralSchema {
  return strict(jsonSchemaOf(schema));
}

/**
 * The schema of an old-model spec. Kuma keeps these as free JSON and reads them as proto3 JSON, so every object keeps what it does not know (a field of a newer
 * version, a name as in the .proto file) and the API server refuses only what can be no value at all: our webhook answers everything else, in Kuma's words.
 * Numbers and enum values may be written either way, `null` is "not set", nothing is required.
 */
export function tolerantSchema(schema: z.ZodType): StructuralSchema {
  return tolerant(jsonSchemaOf(schema));
}

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  // The library's type is the whole of JSON Schema; `JsonSchema` names the members that our kinds make it use.
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'openapi-3.0' }) as JsonSchema;
}

function strict(schema: JsonSchema): StructuralSchema {
  if (schema.type === undefined) return schema.enum === undefined ? FREE : { type: 'string', enum: schema.enum };
  const kept = Object.fromEntries(KEPT.flatMap((key) => (schema[key] === undefined ? [] : [[key, schema[key]]])));
  switch (schema.type) {
    case 'object': {
      if (schema.properties !== undefined) {
        return {
          type: 'object',
          ...kept,
          properties: mapValues(schema.properties, strict),
          ...(schema.required !== undefined && { required: schema.required }),
        };
      }
      const values = schema.additionalProperties;
      if (typeof values !== 'object' || values.type === undefined) return { ...FREE_OBJECT, ...kept };
      return { type: 'object', ...kept, additionalProperties: strict(values) };
    }
    case 'array':
      return { type: 'array', ...kept, items: strict(schema.items ?? {}) };
    default:
      return { type: schema.type, ...kept, ...(schema.enum !== undefined && { enum: schema.enum }) };
  }
}

function tolerant(schema: JsonSchema): StructuralSchema {
  switch (schema.type) {
    case 'object': {
      if (schema.properties !== undefined && Object.keys(schema.properties).length > 0) {
        return { ...FREE_OBJECT, nullable: true, properties: mapValues(schema.properties, tolerant) };
      }
      const values = schema.additionalProperties;
      if (typeof values !== 'object' || values.type === undefined) return { ...FREE_OBJECT, nullable: true };
      return { type: 'object', nullable: true, additionalProperties: tolerant(values) };
    }
    case 'array':
      return { type: 'array', nullable: true, items: tolerant(schema.items ?? {}) };
    case 'integer':
      return { 'x-kubernetes-int-or-string': true, nullable: true };
    case 'string':
      if (schema.enum === undefined && schema['x-proto'] !== 'uint64') return { type: 'string', nullable: true };
      return { 'x-kubernetes-int-or-string': true, nullable: true };
    case 'boolean':
      return { type: 'boolean', nullable: true };
    default:
      // A fraction may be a number or a text.
      return FREE;
  }
}

function mapValues(
  properties: Readonly<Record<string, JsonSchema>>,
  to: (schema: JsonSchema) => StructuralSchema,
): Record<string, StructuralSchema> {
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, to(schema)]));
}
