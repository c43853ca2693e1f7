import { createHash } from 'node:crypto';
import { isJsonObject } from '../resources/plain-json.ts';
import { type Condition, type Hole, isHole, type Template, type ValueHole } from './template.ts';

/** What fills the holes. */
export interface RenderContext {
  readonly namespace: string;
  readonly version: string;
  /** Complete values: every key of the tree is there. */
  readonly values: Readonly<Record<string, unknown>>;
}

interface Scope extends RenderContext {
  readonly key?: unknown;
  readonly item?: unknown;
}

/** The objects of a list of templates, with every hole filled; those whose condition does not hold are left out. */
export function renderTemplates(templates: readonly Template[], context: RenderContext): readonly unknown[] {
  return renderItems(templates, context);
}

const ABSENT = Symbol('absent');

function render(template: Template, scope: Scope): unknown {
  if (template === null || typeof template !== 'object') return template;
  if (Array.isArray(template)) return renderItems(template as readonly Template[], scope);
  if (!isHole(template)) return renderEntries(template as { readonly [key: string]: Template }, scope);
  switch (template.$) {
    case 'text':
      return template.parts.map((part) => (typeof part === 'string' ? part : String(fill(part, scope)))).join('');
    case 'when':
      return holds(template.test, scope) ? render(template.then, scope) : ABSENT;
    case 'with': {
      const given = template.of.map((value) => valueAt(value, scope) as Record<string, unknown>);
      return { ...Object.assign({}, ...given), ...renderEntries(template.own, scope) };
    }
    case 'each':
    case 'items':
      throw new Error(`render a manifest: ${template.$} stands outside a list`);
    default:
      return fill(template, scope);
  }
}

function renderEntries(entries: { readonly [key: string]: Template }, scope: Scope): Record<string, unknown> {
  const filled = Object.entries(entries).map(([key, entry]) => [key, render(entry, scope)] as const);
  return Object.fromEntries(filled.filter(([, entry]) => entry !== ABSENT));
}

function renderItems(items: readonly Template[], scope: Scope): unknown[] {
  return items.flatMap((item): readonly unknown[] => {
    if (isHole(item) && item.$ === 'items') return valueAt(item.of, scope) as readonly unknown[];
    if (isHole(item) && item.$ === 'each') {
      return members(valueAt(item.of, scope)).map(([key, one]) => render(item.item, { ...scope, key, item: one }));
    }
    const filled = render(item, scope);
    return filled === ABSENT ? [] : [filled];
  });
}

/** Entries of a map in the order of its keys, as Go's templates range over it; of a list in its own. */
function members(value: unknown): readonly (readonly [unknown, unknown])[] {
  if (Array.isArray(value)) return [...value.entries()];
  return Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function fill(hole: Hole, scope: Scope): unknown {
  switch (hole.$) {
    case 'value':
      return valueAt(hole, scope);
    case 'namespace':
      return scope.namespace;
    case 'version':
      return scope.version;
    case 'key':
      return scope.key;
    case 'item':
      return hole.field === undefined ? scope.item : (scope.item as Record<string, unknown>)[hole.field];
    case 'digest':
      return createHash('sha256')
        .update(String(valueAt(hole.of, scope)))
        .digest('hex');
    case 'first':
      return hole.of.map((one) => fill(one, scope)).find((one) => one !== '') ?? '';
    default:
      return hole satisfies never;
  }
}

function holds(test: Condition, scope: Scope): boolean {
  const value = valueAt(test.value, scope);
  if (test.is === 'without') return !isJsonObject(value) || !Object.hasOwn(value, test.key);
  if (Array.isArray(value)) return value.length > 0;
  return isJsonObject(value) ? Object.keys(value).length > 0 : Boolean(value);
}

function valueAt(hole: ValueHole, scope: Scope): unknown {
  return hole.path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], scope.values);
}
