import type { CliIo } from '../io.ts';
import { asList, asNumber, fetchJson, type Json } from './answers.ts';
import type { ApiClient } from './client.ts';

/** One page, or all pages put together. */
export interface ResourceList {
  readonly total: number;
  readonly items: readonly Json[];
  /** Offset of the next page; `undefined` on the last one. */
  readonly nextOffset: string | undefined;
}

export interface ListRequest {
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly doing: string;
  /** Given: that page only. */
  readonly size?: string;
  readonly offset?: string;
}

/** Largest page the API gives. Source: compatibility reference 5. */
const MAX_PAGE = '1000';

/** A list; every page of it unless a size or offset is asked for. Shows progress when there are many pages and a person watches. */
export async function fetchList(client: ApiClient, request: ListRequest, io: CliIo): Promise<ResourceList> {
  const single = request.size !== undefined || request.offset !== undefined;
  const items: Json[] = [];
  let offset = request.offset;
  for (;;) {
    const query = { ...request.query, size: request.size ?? (single ? undefined : MAX_PAGE), offset };
    const page = await fetchJson(client, { method: 'GET', path: request.path, query, doing: request.doing });
    items.push(...asList(page['items']));
    offset = offsetOf(page['next']);
    const total = asNumber(page['total']);
    if (single || offset === undefined) {
      if (io.interactive && items.length > Number(MAX_PAGE)) io.stderr('\r\u001b[K');
      return { total, items, nextOffset: offset };
    }
    if (io.interactive) io.stderr(`\r${request.doing}: ${items.length} of ${total}`);
  }
}

/** `next` is an absolute URL with the offset in it, or null. */
function offsetOf(next: unknown): string | undefined {
  if (typeof next !== 'string' || !URL.canParse(next)) return undefined;
  return new URL(next).searchParams.get('offset') ?? undefined;
}
