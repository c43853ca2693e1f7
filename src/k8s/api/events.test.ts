import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { createDrivenClock } from '../../testing/fakes/driven-clock.ts';
import { KubeError } from './client.ts';
import { createEventRecorder, type ObjectRef } from './events.ts';

const POD: ObjectRef = { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web-1', uid: 'u1' };
const MESH: ObjectRef = { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: 'default' };

function recorder(options: { fail?: boolean } = {}) {
  const clock = createDrivenClock();
  const created: Record<string, unknown>[] = [];
  const patched: unknown[] = [];
  const client = {
    async create(_type: unknown, object: unknown) {
      if (options.fail === true) throw new KubeError('unavailable', 'no answer');
      created.push(object as Record<string, unknown>);
      return object as never;
    },
    async patch(_type: unknown, at: unknown, patch: unknown) {
      patched.push([at, patch]);
      return {} as never;
    },
  };
  const events = createEventRecorder({ client, component: 'weft-control-plane', clock, log: silentLogger });
  return { clock, created, patched, events };
}

describe('event recorder', () => {
  it('writes what the tools of Kubernetes show', async () => {
    const { created, events, clock } = recorder();
    events.event(POD, 'Warning', 'FailedToGenerateKumaDataplane', 'no');
    await events.close();
    expect(created).toEqual([
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: expect.stringMatching(/^web-1\.[0-9a-f]{16}$/), namespace: 'shop' },
        involvedObject: POD,
        type: 'Warning',
        reason: 'FailedToGenerateKumaDataplane',
        message: 'no',
        source: { component: 'weft-control-plane' },
        firstTimestamp: new Date(clock.now()).toISOString(),
        lastTimestamp: new Date(clock.now()).toISOString(),
        count: 1,
        reportingComponent: 'weft-control-plane',
        reportingInstance: '',
      },
    ]);
  });

  it('puts events of cluster-scoped objects into the namespace default, without saying the object is in it', async () => {
    const { created, events } = recorder();
    events.event(MESH, 'Warning', 'IssuerNotFound', 'x'.repeat(2000));
    await events.close();
    expect(created[0]).toMatchObject({ metadata: { namespace: 'default' } });
    expect(created[0]!['involvedObject']).toEqual(MESH);
    expect(created[0]!['message']).toHaveLength(1024);
  });

  it('counts a repeated sentence, at most once a minute, and tells it anew after half an hour', async () => {
    const { created, patched, events, clock } = recorder();
    for (let second = 0; second < 130; second += 1) {
      events.event(POD, 'Warning', 'R', 'again');
      await clock.advance(1000);
    }
    expect(created).toHaveLength(1);
    expect(patched).toHaveLength(2);
    expect(patched[1]).toMatchObject([{ namespace: 'shop' }, { count: 121 }]);
    await clock.advance(30 * 60_000);
    events.event(POD, 'Warning', 'R', 'again');
    expect(created).toHaveLength(2);
  });

  it('lets no object flood: 25 sentences, then one in five minutes; others are not held up', async () => {
    const { created, events, clock } = recorder();
    for (let n = 0; n < 100; n += 1) events.event(POD, 'Warning', 'R', `sentence ${n}`);
    expect(created).toHaveLength(25);
    events.event(MESH, 'Warning', 'R', 'mine');
    expect(created).toHaveLength(26);
    await clock.advance(5 * 60_000);
    events.event(POD, 'Warning', 'R', 'later');
    events.event(POD, 'Warning', 'R', 'too much');
    expect(created).toHaveLength(27);
  });

  it('loses what the API server does not take', async () => {
    const { events, patched, clock } = recorder({ fail: true });
    events.event(POD, 'Normal', 'R', 'm');
    await clock.advance(61_000);
    events.event(POD, 'Normal', 'R', 'm');
    await events.close();
    expect(patched).toEqual([]);
  });
});
