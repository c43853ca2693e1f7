import { nearest } from '../lib/nearest.ts';
import { isJsonObject } from '../resources/plain-json.ts';
import { type ChartValueTree, isChartValue } from './chart-value.ts';

/** A value that does not fit. `field` is its path, `controlPlane.replicas`. */
export interface ValueProblem {
  readonly field: string;
  readonly reason: string;
  /** A known value that was probably meant. */
  readonly suggestion?: string;
}

export interface CompletedValues {
  /** Every key of the tree; to be used only when there are no problems. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly problems: readonly ValueProblem[];
}

/**
 * Defaults of a tree with each of `given` laid over them, later ones winning, and everything that does not fit. As Helm does it: maps are merged,
 * lists replaced, `null` takes a key away.
 */
export function completeValues(tree: ChartValueTree, given: readonly unknown[]): CompletedValues {
  const misshapen = given.filter((one) => one !== null && one !== undefined && !isJsonObject(one));
  if (misshapen.length > 0) return { values: {}, problems: [{ field: '', reason: 'must be a map of values' }] };
  const values = given.reduce<Readonly<Record<string, unknown>>>(
    (below, above) => overlay(below, (above ?? {}) as Readonly<Record<string, unknown>>),
    defaultValues(tree),
  );
  return { values, problems: problemsOf(tree, values, '') };
}

/** The tree with the default of each value. */
export function defaultValues(tree: ChartValueTree): Readonly<Record<string, unknown>> {
  const entries = Object.entries(tree);
  return Object.fromEntries(
    entries.map(([key, node]) => [key, isChartValue(node) ? node.default : defaultValues(node)]),
  );
}

/** `a.b=1` of a `--set` as a map. Numbers, `true`, `false`, `null` and lists `{a,b}` are understood; `\.` is a dot within a key. */
export function assignedValue(path: string, text: string): Readonly<Record<string, unknown>> {
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'));
  return keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), parseWord(text)) as Record<string, unknown>;
}

const WORDS: Readonly<Record<string, unknown>> = { true: true, false: false, null: null };

function parseWord(text: string): unknown {
  if (Object.hasOwn(WORDS, text)) return WORDS[text];
  if (/^(0|-?[1-9][0-9]*)$/.test(text)) return Number(text);
  const inner = /^\{(.*)\}$/s.exec(text)?.[1];
  if (inner === undefined) return text;
  return inner === '' ? [] : inner.split(',').map((item) => parseWord(item.trim()));
}

function overlay(
  below: Readonly<Record<string, unknown>>,
  above: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const merged = new Map(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    const under = merged.get(key);
    if (value === null || value === undefined) merged.delete(key);
    else if (isJsonObject(value)) merged.set(key, overlay(isJsonObject(under) ? under : {}, value));
    else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}

function problemsOf(
  tree: ChartValueTree,
  values: Readonly<Record<string, unknown>>,
  prefix: string,
): readonly ValueProblem[] {
  // Charts above this one put keys of their own into `global`.
  const unknown = prefix === 'global.' ? [] : Object.keys(values).filter((key) => !Object.hasOwn(tree, key));
  return [
    ...unknown.map((key) => unknownKey(tree, key, prefix)),
    ...Object.entries(tree).flatMap(([key, node]): readonly ValueProblem[] => {
      const field = `${prefix}${key}`;
      const value = values[key];
      if (value === undefined) return [{ field, reason: 'must not be null' }];
      if (!isChartValue(node)) {
        if (!isJsonObject(value)) return [{ field, reason: 'must be a map of values' }];
        return problemsOf(node, value, `${field}.`);
      }
      const parsed = node.schema.safeParse(value);
      if (parsed.success) return [];
      return parsed.error.issues.map((issue) => ({
        field: `${field}${issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')}`,
        reason: issue.message,
      }));
    }),
  ];
}

function unknownKey(tree: ChartValueTree, key: string, prefix: string): ValueProblem {
  const near = nearest(key, Object.keys(tree));
  const problem = { field: `${prefix}${key}`, reason: 'there is no such value' };
  return near === undefined ? problem : { ...problem, suggestion: `${prefix}${near}` };
}
