import { parseKumaDuration } from '../lib/duration.ts';
import { nearest } from '../lib/nearest.ts';
import type { Violation } from '../resources/resource.ts';
import type { LeafKeyType } from '../x509/key.ts';
import type { BackendConfig } from './backend.ts';
import { type NameTemplate, parseNameTemplate } from './name-template.ts';

/** Reading of `mtls.backends[i].conf`, a free struct in proto3 JSON: unknown fields are ignored, as Kuma does. */

/** The struct at `name`; `undefined` when it is absent. Anything else than a struct is a violation in `violations`. */
export function readStruct(
  conf: Readonly<Record<string, unknown>>,
  name: string,
  path: string,
  violations: Violation[],
): Readonly<Record<string, unknown>> | undefined {
  const value = conf[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  violations.push({ field: path, message: `could not convert backend config: ${name} has to be an object` });
  return undefined;
}

/** A uint32 (proto3 JSON: number or its text); `undefined` when absent. */
export function readUint32(value: unknown, name: string, path: string, violations: Violation[]): number | undefined {
  if (value === undefined || value === null) return undefined;
  const number = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < 2 ** 32) return number;
  violations.push({
    field: path,
    message: `could not convert backend config: ${name} has to be a whole number from 0 to 4294967295`,
  });
  return undefined;
}

/** A Kuma duration over zero, in ms; `undefined` when absent or empty. */
export function readDuration(value: unknown, field: string, path: string, violations: Violation[]): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') {
    violations.push({ field: path, message: `could not convert backend config: ${field} has to be a string` });
    return undefined;
  }
  const duration = parseKumaDuration(value);
  if (duration !== undefined && duration > 0) return duration;
  violations.push({
    field: `${path}.${field}`,
    message: 'has to be a valid format: one number and one unit, such as "87600h" or "10y"',
  });
  return undefined;
}

const KEY_TYPES: readonly LeafKeyType[] = ['ec-p256', 'rsa-2048'];

/** Our own `conf.leafKeyType`: which keys the workloads get. Absent: `ec-p256`. Any other value is a violation. */
export function readLeafKeyType(conf: BackendConfig['conf'], path: string, violations: Violation[]): LeafKeyType {
  const value = conf['leafKeyType'] ?? 'ec-p256';
  const known = KEY_TYPES.find((type) => type === value);
  if (known) return known;
  violations.push({ field: `${path}.leafKeyType`, message: `has to be one of: ${KEY_TYPES.join(', ')}` });
  return 'ec-p256';
}

/** A template for a name (`name-template.ts`); `undefined` when absent or empty. */
export function readNameTemplate(value: unknown, field: string, violations: Violation[]): NameTemplate | undefined {
  if (!isGiven(value) || value === '') return undefined;
  if (typeof value !== 'string') {
    violations.push({ field, message: 'has to be a string' });
    return undefined;
  }
  try {
    return parseNameTemplate(value);
  } catch (error) {
    violations.push({ field, message: `is not a valid template: ${error instanceof Error ? error.message : error}` });
    return undefined;
  }
}

/** The fields of `struct` that look like a misspelt one of `known`. Others are ignored, as Kuma does. */
export function misspelt(struct: object, known: readonly string[], path: string): readonly Violation[] {
  return Object.keys(struct).flatMap((field) => {
    const meant = known.includes(field) ? undefined : nearest(field, known);
    return meant === undefined ? [] : [{ field: `${path}.${field}`, message: `unknown field, use "${meant}"` }];
  });
}

/** proto3 JSON: null is absent. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Source: RFC 1123 subdomain, as Kubernetes wants of names. */
export function isDnsName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text);
}
