/**
 * Manifests with holes. One builder makes them, two readers use them: `render.ts` fills the holes, for `weft install`; `helm-template.ts`
 * prints them as a Helm template. So both always give the same objects.
 */
import type { ChartValue, ChartValueTree } from './chart-value.ts';

/** A value of values.yaml by its path. */
export interface ValueHole {
  readonly $: 'value';
  readonly path: string;
  readonly shape: ChartValue['shape'];
}

/** What is known of the installation itself. */
export interface FactHole {
  readonly $: 'namespace' | 'version';
}

/** The member that `each` is at; inside `each` only. */
export interface MemberHole {
  readonly $: 'key' | 'item';
  /** A field of the item. */
  readonly field?: string;
}

/** SHA-256 of a value that is text, in hex. */
export interface DigestHole {
  readonly $: 'digest';
  readonly of: ValueHole;
}

/** The first of them that is not an empty text. */
export interface FirstOfHole {
  readonly $: 'first';
  readonly of: readonly Hole[];
}

export type Hole = ValueHole | FactHole | MemberHole | DigestHole | FirstOfHole;

/** Text with holes. */
export interface TextHole {
  readonly $: 'text';
  readonly parts: readonly (string | Hole)[];
}

export type Condition =
  /** Not empty, not false, not zero: what Helm calls true. */
  | { readonly is: 'set'; readonly value: ValueHole }
  /** A map value has no such key. */
  | { readonly is: 'without'; readonly value: ValueHole; readonly key: string };

/** The key or item is there only when the condition holds. */
export interface WhenHole {
  readonly $: 'when';
  readonly test: Condition;
  readonly then: Template;
}

/** In a list: one item for each member of a map or list value. */
export interface EachHole {
  readonly $: 'each';
  readonly of: ValueHole;
  readonly item: Template;
}

/** In a list: the items of a list value. */
export interface ItemsHole {
  readonly $: 'items';
  readonly of: ValueHole;
}

/** A map with the entries of a map value beside its own; its own win. */
export interface WithEntriesHole {
  readonly $: 'with';
  readonly own: { readonly [key: string]: Template };
  readonly of: readonly ValueHole[];
}

export type Template =
  | string
  | number
  | boolean
  | null
  | Hole
  | TextHole
  | WhenHole
  | EachHole
  | ItemsHole
  | WithEntriesHole
  | readonly Template[]
  | { readonly [key: string]: Template };

type AnyHole = Extract<Template, { readonly $: string }>;

/** Whether a template is a hole and no plain JSON: no field of a manifest is called `$`. */
export function isHole(template: Template): template is AnyHole {
  return typeof template === 'object' && template !== null && !Array.isArray(template) && '$' in template;
}

/** Holes in the form of the tree of values: `holes(TREE).controlPlane.replicas`. */
export type HolesOf<Tree> = Tree extends ChartValue ? ValueHole : { readonly [Key in keyof Tree]: HolesOf<Tree[Key]> };

export function holes<Tree extends ChartValueTree>(tree: Tree, prefix = ''): HolesOf<Tree> {
  const made = Object.entries(tree).map(([key, node]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const hole = isValue(node) ? { $: 'value', path, shape: node.shape } : holes(node, path);
    return [key, hole];
  });
  // Same keys as the tree, a hole for each value: what the type says.
  return Object.fromEntries(made) as HolesOf<Tree>;
}

function isValue(node: ChartValue | ChartValueTree): node is ChartValue {
  return node['kind'] === 'value' && typeof node['shape'] === 'string';
}

export const NAMESPACE: FactHole = { $: 'namespace' };
export const VERSION: FactHole = { $: 'version' };
export const KEY: MemberHole = { $: 'key' };
export const ITEM: MemberHole = { $: 'item' };

export function itemField(field: string): MemberHole {
  return { $: 'item', field };
}

/** ``text`system:serviceaccount:${NAMESPACE}:weft` ``. */
export function text(strings: TemplateStringsArray, ...given: readonly Hole[]): TextHole {
  const parts = strings.flatMap((part, index) => [part, ...given.slice(index, index + 1)]);
  return { $: 'text', parts: parts.filter((part) => part !== '') };
}

export function firstOf(...of: readonly Hole[]): FirstOfHole {
  return { $: 'first', of };
}

export function digest(of: ValueHole): DigestHole {
  return { $: 'digest', of };
}

export function whenSet(value: ValueHole, then: Template): WhenHole {
  return { $: 'when', test: { is: 'set', value }, then };
}

export function whenWithout(value: ValueHole, key: string, then: Template): WhenHole {
  return { $: 'when', test: { is: 'without', value, key }, then };
}

/** The value itself, and nothing at all when it is empty. */
export function ifSet(value: ValueHole): WhenHole {
  return whenSet(value, value);
}

export function each(of: ValueHole, item: Template): EachHole {
  return { $: 'each', of, item };
}

export function itemsOf(of: ValueHole): ItemsHole {
  return { $: 'items', of };
}

export function withEntries(own: { readonly [key: string]: Template }, ...of: readonly ValueHole[]): WithEntriesHole {
  return { $: 'with', own, of };
}
