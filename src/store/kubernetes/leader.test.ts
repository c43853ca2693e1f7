import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { KubeClient } from '../../k8s/api/client.ts';
import { connectKubernetes } from '../../k8s/api/connect.ts';
import type { Clock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { aborted } from '../../lib/wait.ts';
import { type FakeApiServer, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import type { LeaderElection } from '../store.ts';
import { createLeaseElection } from './leader.ts';

/** Real time, ten times as fast: a lease of 15 s runs out in 1.5 s. Epoch time is another one for each clock: nobody may compare it. */
function fastClock(epochMs: number): Clock {
  return {
    now: () => epochMs,
    monotonic: () => performance.now() * 10,
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs / 10);
      return { cancel: () => clearTimeout(timer) };
    },
  };
}

interface Candidate {
  readonly election: LeaderElection;
  readonly stop: AbortController;
  readonly client: KubeClient;
  readonly done: Promise<void>;
}

describe('createLeaseElection', () => {
  let server: FakeApiServer;
  const candidates: Candidate[] = [];
  let leaders: number;
  let most: number;

  beforeEach(async () => {
    server = await startFakeApiServer();
    leaders = 0;
    most = 0;
  });
  afterEach(async () => {
    for (const { stop, done, client } of candidates.splice(0)) {
      stop.abort();
      await done;
      await client.close();
    }
    await server.close();
  });

  async function stand(identity: string): Promise<Candidate> {
    const client = await connectKubernetes({ kubeconfig: server.kubeconfig });
    const election = createLeaseElection({
      client,
      namespace: 'system',
      name: 'weft-leader',
      identity,
      clock: fastClock(candidates.length * 1e12),
      random: Math.random,
      log: silentLogger,
    });
    const stop = new AbortController();
    const done = election.run(async (signal) => {
      leaders += 1;
      most = Math.max(most, leaders);
      await aborted(signal);
      leaders -= 1;
    }, stop.signal);
    const candidate = { election, stop, client, done };
    candidates.push(candidate);
    return candidate;
  }
  const until = (test: () => boolean, ms = 15_000) => vi.waitUntil(test, { timeout: ms, interval: 5 });
  const spec = () => server.objects('leases')[0]?.['spec'] as Record<string, unknown> | undefined;

  it('lets one lead, and renews the lease', async () => {
    const all = await Promise.all(['a', 'b', 'c'].map(stand));
    await until(() => all.some(({ election }) => election.isLeader()));
    const version = server.objects('leases')[0]!.metadata['resourceVersion'];
    await until(() => server.objects('leases')[0]!.metadata['resourceVersion'] !== version);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(all.filter(({ election }) => election.isLeader())).toHaveLength(1);
    expect(most).toBe(1);
    expect(spec()).toMatchObject({ leaseDurationSeconds: 15, renewTime: expect.stringMatching(/\.\d{6}Z$/) });
  });

  it('gives the lease back at stop, and the next one begins at once', async () => {
    const first = await stand('a');
    await until(() => first.election.isLeader());
    const second = await stand('b');
    first.stop.abort();
    await first.done;
    expect(first.election.isLeader()).toBe(false);
    await until(() => second.election.isLeader(), 600);
    expect([most, spec()?.['holderIdentity'], spec()?.['leaseTransitions']]).toEqual([1, 'b', 1]);
  });

  it('takes over from one that died, not before its lease is over', async () => {
    server.put('/apis/coordination.k8s.io/v1/namespaces/system/leases', {
      metadata: { name: 'weft-leader' },
      // Long ago by any clock: only that it does not change counts.
      spec: { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime: '2020-01-01T00:00:00.000000Z' },
    });
    const began = Date.now();
    const one = await stand('a');
    await until(() => one.election.isLeader());
    expect(Date.now() - began).toBeGreaterThanOrEqual(1450);
  });

  it('stops leading when it cannot renew, before another may begin, and leads again later', async () => {
    const one = await stand('a');
    await until(() => one.election.isLeader());
    const began = Date.now();
    await server.pause();
    await until(() => !one.election.isLeader());
    expect(Date.now() - began).toBeLessThan(1200);
    await until(() => leaders === 0);
    await server.resume();
    await until(() => one.election.isLeader());
  });

  it('stops leading at once when another one holds the lease', async () => {
    const one = await stand('a');
    await until(() => one.election.isLeader());
    server.put('/apis/coordination.k8s.io/v1/namespaces/system/leases', {
      metadata: { name: 'weft-leader' },
      spec: { holderIdentity: 'thief', leaseDurationSeconds: 15 },
    });
    await until(() => !one.election.isLeader(), 600);
  });

  it('runs once at a time', async () => {
    const one = await stand('a');
    await expect(one.election.run(async () => {}, new AbortController().signal)).rejects.toThrow('it runs already');
  });
});
