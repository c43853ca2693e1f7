import type { Violation } from '../resources/resource.ts';
import { Problem } from './problem.ts';
import type { Call, QueryParameter } from './route.ts';

const DEFAULT_SIZE = 100;
const MAX_SIZE = 1000;

/** Which page of a list, and of what. Source: compatibility reference 5. */
export interface ListRequest {
  readonly size: number;
  readonly offset?: string;
  readonly nameContains?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** `title` is that of the operation. Throws a 400 for a bad size or filter; a bad offset is the store's to find. */
export function parseListRequest(query: URLSearchParams, title: string): ListRequest {
  const offset = query.get('offset');
  const name = query.get('name');
  const labels = parseLabelFilters(query, title);
  return {
    size: parseSize(query.get('size'), title),
    ...(offset ? { offset } : {}),
    ...(name ? { nameContains: name } : {}),
    ...(labels ? { labels } : {}),
  };
}

function parseSize(text: string | null, title: string): number {
  if (text === null || text === '') return DEFAULT_SIZE;
  const size = /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
  if (size === undefined) throw invalidSize(title, 'invalid format');
  // In Kuma 0 is "everything"; here it is as much as one page may hold, and `next` leads on.
  if (size === 0) return MAX_SIZE;
  if (size > MAX_SIZE) throw invalidSize(title, `invalid page size of ${size}. Maximum page size is ${MAX_SIZE}`);
  return size;
}

function invalidSize(title: string, message: string): Problem {
  return new Problem(400, title, 'Invalid page size', { violations: [{ field: 'size', message }] });
}

function parseLabelFilters(query: URLSearchParams, title: string): Record<string, string> | undefined {
  const labels: [string, string][] = [];
  const violations: Violation[] = [];
  for (const [key, value] of query) {
    if (!key.startsWith('filter[')) continue;
    const label = /^filter\[labels\.([^\]]+)\](.*)$/.exec(key);
    if (!label) violations.push({ field: key, message: 'filters are only supported on labels' });
    else if (label[2] !== '') violations.push({ field: key, message: 'advanced filters are not supported' });
    else labels.push([label[1]!, value]);
  }
  if (violations.length > 0) throw new Problem(400, title, 'Resource is not valid', { violations });
  return labels.length === 0 ? undefined : Object.fromEntries(labels);
}

/** Body of a list; `next` is an absolute URL, or null on the last page. */
export function listBody(call: Call, items: readonly unknown[], total: number, next: string | undefined) {
  return { total, items, next: next === undefined ? null : nextLink(call, next) };
}

function nextLink(call: Call, offset: string): string {
  const query = new URLSearchParams(call.query);
  query.set('offset', offset);
  query.sort();
  return `${call.origin}${call.path}?${query}`;
}

/** One page of a list that is at hand as a whole. The offset is a number. Throws a 400 for another. */
export function pageOf<T>(
  items: readonly T[],
  request: ListRequest,
  title: string,
): { items: readonly T[]; next?: string } {
  const { offset = '0', size } = request;
  if (!/^[0-9]{1,9}$/.test(offset)) {
    throw new Problem(400, title, 'Invalid offset', { violations: [{ field: 'offset', message: 'Invalid format' }] });
  }
  const start = Number(offset);
  const end = start + size;
  return { items: items.slice(start, end), ...(end < items.length ? { next: String(end) } : {}) };
}

export const PAGE_PARAMETERS: readonly QueryParameter[] = [
  {
    name: 'size',
    description: `Items on a page, at most ${MAX_SIZE}.`,
    schema: { type: 'integer', minimum: 1, maximum: MAX_SIZE, default: DEFAULT_SIZE },
  },
  {
    name: 'offset',
    description: 'Where the page starts; opaque, from `next` of the page before.',
    schema: { type: 'string' },
  },
  { name: 'name', description: 'Only items whose name contains this text.', schema: { type: 'string' } },
];
