import type { KubeClient } from '../../k8s/api/client.ts';
import { KubeError } from '../../k8s/api/client.ts';
import type { KubeObject, ResourceType } from '../../k8s/api/object.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';
import { serveTerm } from '../leader-term.ts';
import type { LeaderElection } from '../store.ts';

export const LEASE_TYPE: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

/** Times as in client-go's leader election. A follower takes over what has not been renewed for so long, by its own clock. */
const LEASE_SECONDS = 15;
/** A leader that could not renew for so long stops, well before a follower may take over. */
const RENEW_DEADLINE_MS = 10_000;
/** So often the leader renews and a follower looks; up to a fifth longer, so that replicas do not march in step. */
const BEAT_MS = 2000;
const BEAT_JITTER = 0.2;
/** Giving the Lease back at stop is a courtesy: it may not hold up the stop. */
const RELEASE_MS = 2000;

interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface LeaseElectionOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Of the Lease object. */
  readonly name: string;
  /** Of this process; no two may share one. */
  readonly identity: string;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

/**
 * Leadership is a Lease (coordination.k8s.io/v1). Nobody compares times of two machines: a follower counts, on its own monotonic clock, since it last saw
 * the Lease change. A leader that is cut off stops 5 s before a follower may begin; on stop it gives the Lease back, and the next one begins at once.
 * One `run` at a time. Source: client-go v0.34 `tools/leaderelection`.
 */
export function createLeaseElection(options: LeaseElectionOptions): LeaderElection {
  const { client, namespace, name, identity, clock, random, log } = options;
  let leading = false;
  let running = false;
  let warned = false;
  /** The Lease as last seen, and since when it stands so. */
  let seen: { readonly lease: Lease; readonly since: number } | undefined;

  function see(lease: Lease): void {
    if (seen?.lease.metadata.resourceVersion === lease.metadata.resourceVersion) return;
    seen = { lease, since: clock.monotonic() };
  }

  /** Takes or renews the Lease when it is free, over, or ours. Throws `KubeError` when the API server does not answer. */
  async function hold(signal: AbortSignal): Promise<boolean> {
    try {
      // A leader writes against what it wrote last; all others look first.
      if (!leading || seen === undefined) see(await client.get<Lease>(LEASE_TYPE, { namespace, name }, { signal }));
      const { lease, since } = seen!;
      if (!mayTake(lease, clock.monotonic() - since)) return false;
      see(await client.replace(LEASE_TYPE, { ...lease, spec: heldSpec(lease) }, { signal }));
      return true;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      switch (error.code) {
        case 'not-found':
          see(await client.create(LEASE_TYPE, newLease(), { signal }));
          return true;
        case 'conflict':
        case 'already-exists':
          // Another one was faster.
          see(await client.get<Lease>(LEASE_TYPE, { namespace, name }, { signal }));
          return false;
        default:
          throw error;
      }
    }
  }

  function mayTake(lease: Lease, unchangedMs: number): boolean {
    const { holderIdentity = '', leaseDurationSeconds = LEASE_SECONDS } = lease.spec ?? {};
    return holderIdentity === '' || holderIdentity === identity || unchangedMs >= leaseDurationSeconds * 1000;
  }

  function heldSpec(lease: Lease): Lease['spec'] {
    const { spec = {} } = lease;
    const now = microTime(clock.now());
    const mine = spec.holderIdentity === identity;
    return {
      ...spec,
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: mine ? (spec.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (spec.leaseTransitions ?? 0) + (mine ? 0 : 1),
    };
  }

  function newLease(): Lease {
    const bare: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } };
    return { ...bare, spec: { ...heldSpec(bare), leaseTransitions: 0 } };
  }

  /** Serves until `signal` aborts or the Lease is lost; `heldAt` is the monotonic time from which it is ours. */
  async function serve(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal, heldAt: number) {
    const lost = new AbortController();
    const over = AbortSignal.any([signal, lost.signal]);
    over.addEventListener('abort', () => {
      leading = false;
    });
    leading = true;
    log.info('leading', { lease: `${namespace}/${name}` });
    const term = serveTerm(lead, { clock, log, signal: over });
    const stopIfNotRenewed = (since: number) =>
      clock.after(since + RENEW_DEADLINE_MS - clock.monotonic(), () => {
        log.warn('leadership lost: the lease could not be renewed in time', { deadlineMs: RENEW_DEADLINE_MS });
        lost.abort();
      });
    let deadline = stopIfNotRenewed(heldAt);
    while (!over.aborted) {
      await sleep(clock, beat(), over);
      if (over.aborted) break;
      const began = clock.monotonic();
      try {
        if (await hold(over)) {
          deadline.cancel();
          deadline = stopIfNotRenewed(began);
          warned = false;
        } else {
          log.warn('leadership lost: another control plane holds the lease');
          lost.abort();
        }
      } catch (error) {
        if (!over.aborted) warn(error);
      }
    }
    deadline.cancel();
    await term;
  }

  /** Lets the next one begin at once; when it fails, the Lease runs out by itself. */
  async function release(): Promise<void> {
    const lease = seen?.lease;
    if (lease?.spec?.holderIdentity !== identity) return;
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(clock.now()) };
    await client
      .replace(LEASE_TYPE, { ...lease, spec }, { signal: AbortSignal.timeout(RELEASE_MS) })
      .catch((error: unknown) => log.debug('giving the lease back failed', { error }));
  }

  function warn(error: unknown): void {
    if (!warned) log.warn('leader election cannot reach its lease, trying again', { error });
    warned = true;
  }

  function beat(): number {
    return BEAT_MS * (1 + BEAT_JITTER * random());
  }

  return {
    async run(lead, signal) {
      if (running)
        throw new Error('run leader election: it runs already; put the tasks of one process into one `lead`');
      running = true;
      try {
        while (!signal.aborted) {
          const began = clock.monotonic();
          const held = await hold(signal).catch((error: unknown) => {
            if (!signal.aborted) warn(error);
            return false;
          });
          if (held && !signal.aborted) await serve(lead, signal, began);
          else await sleep(clock, beat(), signal);
        }
        await release();
      } finally {
        running = false;
      }
    },
    isLeader: () => leading,
  };
}

/** RFC 3339 with six digits: Kubernetes' MicroTime takes nothing else. */
function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}
