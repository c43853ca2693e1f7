import { describe, expect, it } from 'vitest';
import { matchesDataplaneFilter, parseDataplaneFilter } from './dataplane-filter.ts';
import { pageOf, parseListRequest } from './list-query.ts';
import { Problem } from './problem.ts';

function refusal(text: string): { detail: string; violations: unknown } | undefined {
  try {
    parseListRequest(new URLSearchParams(text), 'title');
    return undefined;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    expect(error).toMatchObject({ status: 400, title: 'title' });
    return { detail: error.message, violations: error.violations };
  }
}

describe('parseListRequest', () => {
  it('reads size, offset, name and label filters', () => {
    expect(parseListRequest(new URLSearchParams(''), 't')).toEqual({ size: 100 });
    expect(parseListRequest(new URLSearchParams('size=0'), 't')).toEqual({ size: 1000 });
    const query = 'size=1000&offset=x&name=we&filter[labels.kuma.io/zone]=east&filter[labels.a]=';
    expect(parseListRequest(new URLSearchParams(query), 't')).toEqual({
      size: 1000,
      offset: 'x',
      nameContains: 'we',
      labels: { 'kuma.io/zone': 'east', a: '' },
    });
  });

  it('refuses bad sizes and filters', () => {
    const invalidFormat = { detail: 'Invalid page size', violations: [{ field: 'size', message: 'invalid format' }] };
    for (const size of ['x', '-1', '1.5', '1e3', ' 5', '99999999999']) {
      expect(refusal(`size=${encodeURIComponent(size)}`)).toEqual(invalidFormat);
    }
    expect(refusal('size=1001')).toEqual({
      detail: 'Invalid page size',
      violations: [{ field: 'size', message: 'invalid page size of 1001. Maximum page size is 1000' }],
    });
    expect(refusal('filter[name]=x')?.violations).toEqual([
      { field: 'filter[name]', message: 'filters are only supported on labels' },
    ]);
    expect(refusal('filter[labels.a][gt]=x')?.violations).toEqual([
      { field: 'filter[labels.a][gt]', message: 'advanced filters are not supported' },
    ]);
    expect(refusal('filter[labels.a=x')?.violations).toHaveLength(1);
  });
});

describe('pageOf', () => {
  it('cuts by number and says where to go on', () => {
    const items = ['a', 'b', 'c'];
    expect(pageOf(items, { size: 2 }, 't')).toEqual({ items: ['a', 'b'], next: '2' });
    expect(pageOf(items, { size: 2, offset: '2' }, 't')).toEqual({ items: ['c'] });
    expect(pageOf(items, { size: 2, offset: '9' }, 't')).toEqual({ items: [] });
    expect(() => pageOf(items, { size: 2, offset: '-1' }, 't')).toThrow(Problem);
  });
});

describe('Dataplane filters', () => {
  const web = {
    networking: {
      inbound: [
        { port: 1, tags: { app: 'web', v: '1' } },
        { port: 2, tags: { app: 'db' } },
      ],
    },
  };
  const edge = { networking: { gateway: { tags: { app: 'edge' } } } };
  const matches = (query: string, spec: object) => {
    const filter = parseDataplaneFilter(new URLSearchParams(query));
    if ('invalid' in filter) throw new Error(filter.invalid);
    return matchesDataplaneFilter(filter, spec);
  };

  it('want all tags on one inbound, by part of the value', () => {
    expect(matches('tag=app:web&tag=v:1', web)).toBe(true);
    expect(matches('tag=app:we', web)).toBe(true);
    expect(matches('tag=app:*', web)).toBe(true);
    expect(matches('tag=app:db&tag=v:1', web)).toBe(false);
    expect(matches('tag=app:edge', edge)).toBe(true);
    expect(matches('tag=nocolon', web)).toBe(true);
    expect(matches('tag=constructor:*', web)).toBe(false);
  });

  it('tell gateways apart', () => {
    const rows = [true, false, false, true].map(String);
    expect(['false', 'true', 'builtin', 'FALSE'].map((value) => String(matches(`gateway=${value}`, web)))).toEqual(
      rows,
    );
    expect(matches('gateway=delegated', edge)).toBe(true);
    expect(matches('gateway=builtin', edge)).toBe(false);
    expect(parseDataplaneFilter(new URLSearchParams('gateway=maybe'))).toEqual({ invalid: 'maybe' });
  });
});
