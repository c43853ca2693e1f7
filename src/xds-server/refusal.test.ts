import { describe, expect, it } from 'vitest';
import { appliedTheRest, refusedNames } from './refusal.ts';

describe('refusedNames', () => {
  it('finds whole names only', () => {
    const names = ['api', 'api-2', 'inbound:10.0.0.1:80', 'inbound:10.0.0.1:8080', 'inbound'];
    expect(refusedNames('Error adding/updating cluster(s) api-2: no health', names)).toEqual(['api-2']);
    expect(refusedNames('Error adding/updating listener(s) inbound:10.0.0.1:80: bad filter', names)).toEqual([
      'inbound:10.0.0.1:80',
    ]);
    expect(refusedNames('validation failed: name: "api"\nconnect_timeout: {}', names)).toEqual(['api']);
    expect(refusedNames('cannot use api. Reason unknown', names)).toEqual(['api']);
    expect(refusedNames('a: x, api: y, inbound: z', names)).toEqual(['api', 'inbound']);
  });

  it('finds nothing in a text about something else', () => {
    expect(refusedNames('gRPC status 13', ['a', 'b', ''])).toEqual([]);
  });

  it('takes a printed resource for the one at fault, not those that it refers to', () => {
    const message =
      'goo.gle/debugproto    \nname:  "l1"\naddress {\n  name: "l2"\n}\n: Proto constraint validation failed (l2)';
    expect(refusedNames(message, ['l1', 'l2'])).toEqual(['l1']);
    expect(appliedTheRest(message)).toBe(false);
    expect(appliedTheRest('Error adding/updating listener(s) l1: no filter chains specified')).toBe(true);
  });
});
