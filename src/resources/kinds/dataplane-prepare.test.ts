import { describe, expect, it } from 'vitest';
import { prepareDataplane } from './dataplane-prepare.ts';

describe('prepareDataplane', () => {
  it('adds the zone tag and starts probed inbounds as not ready', () => {
    const spec = { networking: { inbound: [{ port: 1, tags: { a: 'b' }, serviceProbe: { tcp: {} } }, { port: 2 }] } };
    expect(prepareDataplane(spec, { zone: 'east', isNew: true })).toEqual({
      networking: {
        inbound: [
          {
            port: 1,
            tags: { a: 'b', 'kuma.io/zone': 'east' },
            serviceProbe: { tcp: {} },
            state: 'NotReady',
            health: { ready: false },
          },
          { port: 2, tags: { 'kuma.io/zone': 'east' } },
        ],
      },
    });
    expect(prepareDataplane(spec, { zone: '', isNew: false })).toEqual(spec);
    expect(prepareDataplane({ networking: { gateway: {} } }, { zone: 'z', isNew: false })).toEqual({
      networking: { gateway: { tags: { 'kuma.io/zone': 'z' } } },
    });
  });
});
