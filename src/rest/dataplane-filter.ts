import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';

/** How lists of Dataplanes are narrowed by `?tag=` and `?gateway=`. */
export interface DataplaneFilter {
  readonly tags: readonly (readonly [string, string])[];
  readonly gateway?: 'true' | 'false' | 'builtin' | 'delegated';
}

/** `gateway` outside the known words comes back as `{invalid}`. A tag without a colon is ignored, as Kuma does. */
export function parseDataplaneFilter(query: URLSearchParams): DataplaneFilter | { readonly invalid: string } {
  const gateway = query.get('gateway')?.toLowerCase() ?? '';
  const tags = query.getAll('tag').flatMap((text): [string, string][] => {
    const colon = text.indexOf(':');
    return colon < 0 ? [] : [[text.slice(0, colon), text.slice(colon + 1)]];
  });
  switch (gateway) {
    case '':
      return { tags };
    case 'true':
    case 'false':
    case 'builtin':
    case 'delegated':
      return { tags, gateway };
    default:
      return { invalid: gateway };
  }
}

/** Pure. All tags must be on one inbound (or the gateway), each with a value that contains the wanted one or any value for `*`: Kuma's "fuzzy" match. */
export function matchesDataplaneFilter(filter: DataplaneFilter, spec: DataplaneSpec): boolean {
  const { networking } = spec;
  const type = networking?.gateway ? (networking.gateway.type ?? 'DELEGATED') : undefined;
  switch (filter.gateway) {
    case undefined:
      break;
    case 'true':
      if (type === undefined) return false;
      break;
    case 'false':
      if (type !== undefined) return false;
      break;
    case 'builtin':
      if (type !== 'BUILTIN') return false;
      break;
    case 'delegated':
      if (type !== 'DELEGATED') return false;
      break;
    default:
      throw new TypeError(`no such filter: ${filter.gateway satisfies never}`);
  }
  const tagSets = networking?.gateway
    ? [networking.gateway.tags ?? {}]
    : (networking?.inbound ?? []).map((inbound) => inbound.tags ?? {});
  const has = (tags: Readonly<Record<string, string>>) =>
    filter.tags.every(([tag, value]) => Object.hasOwn(tags, tag) && (value === '*' || tags[tag]!.includes(value)));
  return filter.tags.length === 0 || tagSets.some(has);
}
