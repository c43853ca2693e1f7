import { z } from 'zod';

/** One value of the chart: the single source of its check, default, comment and line in the reference. Defaults are plain JSON. */
export interface ChartValue {
  readonly kind: 'value';
  /** How a template prints it: a word, or a block of its own. */
  readonly shape: 'scalar' | 'map' | 'list';
  readonly schema: z.ZodType;
  readonly default: unknown;
  readonly description: string;
}

/** Values by key, as in `values.yaml`. */
export interface ChartValueTree {
  readonly [key: string]: ChartValue | ChartValueTree;
}

export function text(value: string, description: string): ChartValue {
  return { kind: 'value', shape: 'scalar', schema: z.string('must be a text'), default: value, description };
}

export function flag(value: boolean, description: string): ChartValue {
  return { kind: 'value', shape: 'scalar', schema: z.boolean('must be true or false'), default: value, description };
}

/** A whole number that is at least `min`. */
export function count(value: number, min: number, description: string): ChartValue {
  const schema = z.int('must be a whole number').min(min, `must be ${min} or more`).max(1_000_000, 'is too large');
  return { kind: 'value', shape: 'scalar', schema, default: value, description };
}

export function oneOf(value: string, choices: readonly string[], description: string): ChartValue {
  const schema = z.enum(choices as readonly [string, ...string[]], `must be one of: ${choices.join(', ')}`);
  return { kind: 'value', shape: 'scalar', schema, default: value, description };
}

/** Text by name: labels, annotations, environment variables. */
export function texts(description: string, value: Readonly<Record<string, string>> = {}): ChartValue {
  const schema = z.record(z.string(), z.string('must be a text; put it in quotes'), 'must be a map of texts');
  return { kind: 'value', shape: 'map', schema, default: value, description };
}

/** Part of a Kubernetes object whose fields are Kubernetes' own: the API server checks them. */
export function object(value: Readonly<Record<string, unknown>>, description: string): ChartValue {
  return {
    kind: 'value',
    shape: 'map',
    schema: z.record(z.string(), z.unknown(), 'must be a map'),
    default: value,
    description,
  };
}

export function list(item: z.ZodType, description: string, value: readonly unknown[] = []): ChartValue {
  return { kind: 'value', shape: 'list', schema: z.array(item, 'must be a list'), default: value, description };
}

export function isChartValue(node: ChartValue | ChartValueTree): node is ChartValue {
  return node['kind'] === 'value' && typeof node['shape'] === 'string';
}

/** A value with its place, `controlPlane.replicas`. */
export interface PlacedValue {
  readonly path: string;
  readonly value: ChartValue;
}

/** Every value in the tree's order. */
export function placedValues(tree: ChartValueTree, prefix = ''): readonly PlacedValue[] {
  return Object.entries(tree).flatMap(([key, node]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    return isChartValue(node) ? [{ path, value: node }] : placedValues(node, path);
  });
}
