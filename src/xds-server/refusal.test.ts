import { describe, expect, it } from 'vitest';
import { mentionedNames } from './refusal.ts';

describe('mentionedNames', () => {
  it('finds whole names only', () => {
    const names = ['api', 'api-2', 'inbound:10.0.0.1:80', 'inbound:10.0.0.1:8080', 'inbound'];
    expect(mentionedNames('Error adding/updating cluster(s) api-2: no health', names)).toEqual(['api-2']);
    expect(mentionedNames('Error adding/updating listener(s) inbound:10.0.0.1:80: bad filter', names)).toEqual([
      'inbound:10.0.0.1:80',
    ]);
    expect(mentionedNames('validation failed: name: "api"\nconnect_timeout: {}', names)).toEqual(['api']);
    expect(mentionedNames('cannot use api. Reason unknown', names)).toEqual(['api']);
    expect(mentionedNames('a: x, api: y, inbound: z', names)).toEqual(['api', 'inbound']);
  });

  it('finds nothing in a text about something else', () => {
    expect(mentionedNames('gRPC status 13', ['a', 'b', ''])).toEqual([]);
  });
});
