import { isJsonObject } from '../../resources/plain-json.ts';
import type { JsonObject } from './admission-review.ts';

/** One step of a JSON Patch. Source: RFC 6902. */
export type PatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** The steps that make `after` of `before`, values below `path`; [] when they are equal. What is equal is not touched. */
export function diffJson(before: unknown, after: unknown, path = ''): readonly PatchOperation[] {
  if (sameJson(before, after)) return [];
  if (isJsonObject(before) && isJsonObject(after)) return diffObjects(before, after, path);
  if (Array.isArray(before) && Array.isArray(after)) return diffLists(before, after, path);
  return [{ op: 'replace', path, value: after }];
}

function diffObjects(before: JsonObject, after: JsonObject, path: string): readonly PatchOperation[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const at = `${path}/${token(key)}`;
    if (own(after, key) === undefined)
      return own(before, key) === undefined ? [] : [{ op: 'remove' as const, path: at }];
    return own(before, key) === undefined
      ? [{ op: 'add' as const, path: at, value: own(after, key) }]
      : diffJson(own(before, key), own(after, key), at);
  });
}

/** Keeps the common start and end, so that an item put in front or behind is one step. */
function diffLists(before: readonly unknown[], after: readonly unknown[], path: string): readonly PatchOperation[] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && sameJson(before[start], after[start])) start++;
  let end = 0;
  while (end < shorter - start && sameJson(before.at(-1 - end), after.at(-1 - end))) end++;
  const old = before.slice(start, before.length - end);
  const fresh = after.slice(start, after.length - end);
  const both = Math.min(old.length, fresh.length);
  return [
    ...fresh.slice(0, both).flatMap((item, index) => diffJson(old[index], item, `${path}/${start + index}`)),
    // From behind: earlier steps do not move the later ones.
    ...old
      .slice(both)
      .map((_item, index) => ({ op: 'remove' as const, path: `${path}/${start + old.length - 1 - index}` })),
    ...fresh
      .slice(both)
      .map((item, index) => ({ op: 'add' as const, path: `${path}/${start + both + index}`, value: item })),
  ];
}

/** Deep equality of JSON values; an absent key is like an undefined one. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => sameJson(own(a, key), own(b, key)));
}

/**
 * `raw` with what defaults added: `before` is its tidied form, `after` that form with defaults. What did not change stays as `raw` has it, and
 * nothing is taken away, so fields that the tidied forms do not know are kept.
 */
export function fillIn(raw: unknown, before: unknown, after: unknown): unknown {
  if (sameJson(before, after)) return raw;
  if (isJsonObject(raw) && isJsonObject(before) && isJsonObject(after)) {
    const out: Record<string, unknown> = { ...raw };
    for (const key of Object.keys(after)) {
      if (after[key] !== undefined && !sameJson(own(before, key), after[key]))
        out[key] = fillIn(own(raw, key), own(before, key), after[key]);
    }
    return out;
  }
  if (Array.isArray(raw) && Array.isArray(before) && Array.isArray(after)) {
    if (raw.length === before.length && raw.length === after.length)
      return raw.map((item, index) => fillIn(item, before[index], after[index]));
  }
  return after;
}

/** An own value; `constructor` and its like are ordinary keys of labels. */
function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function token(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
