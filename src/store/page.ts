import type { Resource } from '../resources/resource.ts';
import { type ListQuery, type Page, StoreError } from './store.ts';

/** Place of the last resource of a page; the next page begins behind it, whatever is written or deleted in between. */
export interface Cursor {
  readonly mesh: string;
  readonly name: string;
}

/** base64url of `["mesh","name"]`. */
export function formatOffset(cursor: Cursor): string {
  return Buffer.from(JSON.stringify([cursor.mesh, cursor.name]), 'utf8').toString('base64url');
}

/** The cursor of an offset; `undefined` for an absent one. Throws `invalid-offset` for anything `formatOffset` does not make. */
export function parseOffset(offset: string | undefined): Cursor | undefined {
  if (offset === undefined) return undefined;
  const cursor = decodeCursor(offset);
  if (cursor === undefined || formatOffset(cursor) !== offset) {
    throw new StoreError(
      'invalid-offset',
      'read list offset: malformed; use the "next" value of a former page as it is',
    );
  }
  return cursor;
}

function decodeCursor(offset: string): Cursor | undefined {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(offset, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts) || parts.length !== 2) return undefined;
  const [mesh, name]: unknown[] = parts;
  return typeof mesh === 'string' && typeof name === 'string' ? { mesh, name } : undefined;
}

/** Does the resource pass the name, label and `where` filters? Type and mesh are the caller's. */
export function matchesFilters(resource: Resource, query: ListQuery): boolean {
  if (query.nameContains !== undefined && !resource.meta.name.includes(query.nameContains)) return false;
  for (const [label, value] of Object.entries(query.labels ?? {})) {
    if (!Object.hasOwn(resource.meta.labels, label) || resource.meta.labels[label] !== value) return false;
  }
  return query.where === undefined || query.where(resource);
}

/** Are there filters that need a look at each resource? */
export function hasFilters(query: ListQuery): boolean {
  return query.nameContains !== undefined || query.labels !== undefined || query.where !== undefined;
}

/** Order of two places in a list: by mesh, then by name, code unit by code unit. */
function comparePlaces(a: Cursor, b: Cursor): number {
  if (a.mesh !== b.mesh) return a.mesh < b.mesh ? -1 : 1;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return 0;
}

/** Cuts the asked page out of all matches, which come sorted. Throws `invalid-offset`. */
export function pageOf(matches: readonly Resource[], query: Pick<ListQuery, 'size' | 'offset'>): Page {
  const cursor = parseOffset(query.offset);
  const start = cursor === undefined ? 0 : firstBehind(matches, cursor);
  const end = query.size === undefined ? matches.length : start + Math.max(1, query.size);
  const items = start === 0 && end >= matches.length ? matches : matches.slice(start, end);
  const last = items.at(-1);
  return end < matches.length && last !== undefined
    ? { items, total: matches.length, next: formatOffset(last.meta) }
    : { items, total: matches.length };
}

function firstBehind(sorted: readonly Resource[], cursor: Cursor): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePlaces(sorted[middle]!.meta, cursor) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
