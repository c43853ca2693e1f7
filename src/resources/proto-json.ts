import { z } from 'zod';
import { parseGoDuration } from '../lib/duration.ts';
import { isJsonObject } from './plain-json.ts';

/**
 * Schemas of old-model kinds, and their JSON form. Old-model specs travel as proto3 JSON, which is more tolerant than their schema:
 * field names in camelCase or as in the .proto file, numbers as strings, enum values by number, `null` for "not set", unknown fields ignored.
 * `fromProtoJson` brings all of that to the one form the schema describes; `toProtoJson` leaves zero values out, as Kuma prints it.
 * Source: protobuf's JSON mapping and Go's `jsonpb`, as used by Kuma 2.11.
 */

/** What a schema cannot say by itself. `wrapper`: a zero value is kept, as with google.protobuf.BoolValue. */
type ProtoForm = 'wrapper' | 'uint64' | 'duration' | 'timestamp' | 'bytes' | 'struct';
const FORM = 'x-proto';

export type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** A message: `optional` fields may be absent; `required` ones get their zero value when absent. */
export function message<O extends z.ZodRawShape, R extends z.ZodRawShape = Record<never, never>>(
  optional: O,
  required: R = {} as R,
) {
  return z.object(required).extend(z.object(optional).partial().shape);
}

export const text = () => z.string();
export const flag = () => z.boolean();
export const uint32 = () => z.uint32();
export const textMap = () => z.record(z.string(), z.string());
/** google.protobuf.BoolValue */
export const flagWrapper = () => z.boolean().meta({ [FORM]: 'wrapper' satisfies ProtoForm });
/** google.protobuf.UInt32Value */
export const uint32Wrapper = () => z.uint32().meta({ [FORM]: 'wrapper' satisfies ProtoForm });
/** google.protobuf.DoubleValue */
export const doubleWrapper = () => z.number().meta({ [FORM]: 'wrapper' satisfies ProtoForm });
/** A decimal string, as proto3 JSON writes 64-bit numbers. */
export const uint64 = () =>
  z
    .string()
    .regex(/^[0-9]{1,20}$/)
    .meta({ [FORM]: 'uint64' satisfies ProtoForm });
/** google.protobuf.Duration: `10s`, `0.250s`. */
export const duration = () =>
  z
    .string()
    .regex(/^-?[0-9]+(\.[0-9]{1,9})?s$/)
    .meta({ [FORM]: 'duration' satisfies ProtoForm });
/** google.protobuf.Timestamp: RFC 3339, UTC. */
export const timestamp = () => z.iso.datetime({ offset: true }).meta({ [FORM]: 'timestamp' satisfies ProtoForm });
/** google.protobuf.BytesValue: base64. */
export const bytes = () => z.base64().meta({ [FORM]: 'bytes' satisfies ProtoForm });
/** google.protobuf.Struct: any JSON object. */
export const struct = () => z.record(z.string(), z.unknown()).meta({ [FORM]: 'struct' satisfies ProtoForm });

/** A value that does not fit its field. `path` is in JSON names; the message says what was expected and found. */
export class ProtoJsonError extends Error {
  readonly code = 'proto-json';
  readonly path: string;
  constructor(path: string, message: string) {
    super(path === '' ? message : `${path}: ${message}`);
    this.name = 'ProtoJsonError';
    this.path = path;
  }
}

/** Reads proto3 JSON into the form of `schema`, keys in schema order, zero values left out. Throws `ProtoJsonError`. */
export function fromProtoJson<T>(schema: z.ZodType<T>, value: unknown): T {
  const normal = read(schema, value, '');
  const parsed = schema.safeParse(normal ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ProtoJsonError(
    issue === undefined ? '' : pathText(issue.path),
    lowerFirst(issue?.message ?? 'invalid value'),
  );
}

/** The proto3 JSON form of a spec: zero values left out, keys in schema order. Values that do not fit stay as they are. */
export function toProtoJson(schema: z.ZodType, spec: unknown): Record<string, unknown> {
  const out = write(schema, spec);
  return isJsonObject(out) ? out : {};
}

function read(schema: z.ZodType, value: unknown, path: string): unknown {
  const inner = unwrap(schema);
  if (value === null || value === undefined) return undefined;
  const form = formOf(inner);
  if (form === 'struct') return expectRecord(value, path);
  if (inner instanceof z.ZodObject) return readMessage(inner, value, path);
  if (inner instanceof z.ZodArray) {
    if (!Array.isArray(value)) throw new ProtoJsonError(path, `expected a list, got ${typeName(value)}`);
    if (value.length === 0) return undefined;
    const item = inner.element as z.ZodType;
    return value.map((entry, index) => read(item, entry, `${path}[${index}]`) ?? zeroOf(item));
  }
  if (inner instanceof z.ZodRecord) {
    const entries = Object.entries(expectRecord(value, path));
    if (entries.length === 0) return undefined;
    const item = inner.valueType as z.ZodType;
    return Object.fromEntries(
      entries.map(([key, entry]) => [key, read(item, entry, `${path}["${key}"]`) ?? zeroOf(item)]),
    );
  }
  const scalar = readScalar(inner, form, value, path);
  return form !== 'wrapper' && isZero(inner, scalar) ? undefined : scalar;
}

function readMessage(schema: z.ZodObject, value: unknown, path: string): Record<string, unknown> {
  const source = expectRecord(value, path);
  const byJsonName = new Map<string, unknown>();
  for (const [key, entry] of Object.entries(source)) {
    const name = key in schema.shape ? key : lowerCamel(key);
    if (name === key || !Object.hasOwn(source, name)) byJsonName.set(name, entry);
  }
  const out: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema.shape)) {
    const entry = read(field as z.ZodType, byJsonName.get(name), path === '' ? name : `${path}.${name}`);
    const kept = entry ?? (field instanceof z.ZodOptional ? undefined : zeroOf(field as z.ZodType));
    if (kept !== undefined) out[name] = kept;
  }
  return out;
}

function readScalar(schema: z.ZodType, form: ProtoForm | undefined, value: unknown, path: string): unknown {
  if (form === 'uint64')
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? String(value) : value;
  if (form === 'duration') {
    const ms = typeof value === 'string' ? parseGoDuration(value) : undefined;
    if (ms === undefined) throw new ProtoJsonError(path, `expected a duration such as "10s", got ${typeName(value)}`);
    return durationText(ms);
  }
  if (form === 'bytes') return typeof value === 'string' ? value.replaceAll('-', '+').replaceAll('_', '/') : value;
  if (schema instanceof z.ZodNumber) return typeof value === 'string' ? numberOf(value, path) : value;
  if (schema instanceof z.ZodEnum) {
    const options = schema.options as readonly string[];
    if (typeof value === 'number') return options[value] ?? value;
    if (typeof value === 'string' && !options.includes(value)) {
      throw new ProtoJsonError(path, `unknown value "${value}", expected one of ${options.join(', ')}`);
    }
  }
  return value;
}

/** First number in `text`, the whole of it. Throws when it holds anything else. */
function numberOf(value: string, path: string): number {
  if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(value)) {
    throw new ProtoJsonError(path, `expected a number, got string "${value}"`);
  }
  return Number(value);
}

/** Seconds with 0, 3, 6 or 9 decimals. */
function durationText(ms: number): string {
  const nanos = BigInt(Math.round(ms * 1e6));
  const sign = nanos < 0n ? '-' : '';
  const size = nanos < 0n ? -nanos : nanos;
  const fraction = (size % 1_000_000_000n)
    .toString()
    .padStart(9, '0')
    .replace(/(000)+$/, '');
  return `${sign}${size / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}s`;
}

function write(schema: z.ZodType, value: unknown): unknown {
  const inner = unwrap(schema);
  if (value === null || value === undefined) return undefined;
  const form = formOf(inner);
  if (form === 'struct') return value;
  if (inner instanceof z.ZodObject && isJsonObject(value)) {
    const out: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(inner.shape)) {
      const entry = write(field as z.ZodType, value[name]);
      if (entry !== undefined) out[name] = entry;
    }
    return out;
  }
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    const item = inner.element as z.ZodType;
    return value.length === 0 ? undefined : value.map((entry) => write(item, entry) ?? zeroOf(item));
  }
  if (inner instanceof z.ZodRecord && isJsonObject(value)) {
    const item = inner.valueType as z.ZodType;
    const entries = Object.entries(value);
    return entries.length === 0
      ? undefined
      : Object.fromEntries(entries.map(([key, entry]) => [key, write(item, entry) ?? zeroOf(item)]));
  }
  return form !== 'wrapper' && isZero(inner, value) ? undefined : value;
}

function unwrap(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
}

function formOf(schema: z.ZodType): ProtoForm | undefined {
  return schema.meta()?.[FORM] as ProtoForm | undefined;
}

function isZero(schema: z.ZodType, value: unknown): boolean {
  if (formOf(schema) === 'uint64') return value === '0';
  if (formOf(schema) !== undefined) return false;
  if (schema instanceof z.ZodEnum) return value === schema.options[0];
  return value === '' || value === 0 || value === false;
}

function zeroOf(schema: z.ZodType): unknown {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) return readMessage(inner, {}, '');
  if (inner instanceof z.ZodArray) return [];
  if (inner instanceof z.ZodRecord) return {};
  if (inner instanceof z.ZodEnum) return inner.options[0];
  if (inner instanceof z.ZodBoolean) return false;
  if (inner instanceof z.ZodNumber) return 0;
  return formOf(inner) === 'uint64' ? '0' : '';
}

function expectRecord(value: unknown, path: string): Record<string, unknown> {
  if (!isJsonObject(value)) throw new ProtoJsonError(path, `expected an object, got ${typeName(value)}`);
  return value;
}

function lowerCamel(name: string): string {
  return name.replace(/_([a-zA-Z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

function lowerFirst(message: string): string {
  return message.slice(0, 1).toLowerCase() + message.slice(1);
}

function typeName(value: unknown): string {
  if (typeof value === 'string') return `string "${value.length > 80 ? `${value.slice(0, 80)}...` : value}"`;
  return Array.isArray(value) ? 'a list' : value === null ? 'null' : typeof value;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (all, part) =>
      typeof part === 'number' ? `${all}[${part}]` : all === '' ? String(part) : `${all}.${String(part)}`,
    '',
  );
}
