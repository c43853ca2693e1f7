import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { sleep } from '../lib/wait.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';

type Spec = {
  readonly subscriptions?: readonly { readonly disconnectTime?: string; readonly controlPlaneInstanceId?: string }[];
};

/** How long proxies have to come back after a control plane ended without closing their subscriptions. Milliseconds. */
const RETURN_MS = 60_000;
const SWEEP_MS = 10 * 60_000;

/**
 * Leader task over DataplaneInsights. Once, a minute after the start: subscriptions that an earlier process of a store with one process left open are closed,
 * so that nobody is shown online who is not. Then now and then: a stored Dataplane that was offline longer than `cleanupAgeMs` is removed (kuma-compat 4.1).
 */
export async function sweepStaleProxies(options: {
  store: ResourceStore;
  clock: Clock;
  log: Logger;
  instanceId: string;
  /** True for stores that only this process uses: every other instance in an insight is gone. */
  alone: boolean;
  cleanupAgeMs: number;
  signal: AbortSignal;
}): Promise<void> {
  const { store, clock, log, signal } = options;
  await sleep(clock, RETURN_MS, signal);
  if (options.alone && !signal.aborted) await guarded(log, () => closeAbandoned(store, options.instanceId, clock));
  while (!signal.aborted) {
    await guarded(log, async () => {
      for (const insight of await offlineSince(store, clock.now() - options.cleanupAgeMs)) {
        const { mesh, name } = insight.meta;
        await store.delete({ type: 'Dataplane', mesh, name });
        log.info('dataplane removed, its proxy was offline for too long', { mesh, dataplane: name });
      }
    });
    await sleep(clock, SWEEP_MS, signal);
  }
}

async function closeAbandoned(store: ResourceStore, instanceId: string, clock: Clock): Promise<void> {
  const { items } = await store.list({ type: 'DataplaneInsight' });
  const at = new Date(clock.now()).toISOString();
  const abandoned = items.filter((insight) => subscriptionsOf(insight).some((one) => isAbandoned(one, instanceId)));
  await store.transact(
    abandoned.map((insight) => ({
      op: 'put' as const,
      resource: {
        ...insight,
        spec: {
          ...(insight.spec as object),
          subscriptions: subscriptionsOf(insight).map((one) =>
            isAbandoned(one, instanceId) ? { ...one, disconnectTime: at } : one,
          ),
        },
      },
    })),
  );
}

async function offlineSince(store: ResourceStore, before: number): Promise<readonly Resource[]> {
  const { items } = await store.list({ type: 'DataplaneInsight' });
  return items.filter((insight) => {
    const subscriptions = subscriptionsOf(insight);
    const last = subscriptions.at(-1);
    return (
      last !== undefined &&
      subscriptions.every((one) => one.disconnectTime !== undefined) &&
      Date.parse(last.disconnectTime!) < before
    );
  });
}

function subscriptionsOf(insight: Resource) {
  return (insight.spec as Spec).subscriptions ?? [];
}

function isAbandoned(
  subscription: { disconnectTime?: string; controlPlaneInstanceId?: string },
  instanceId: string,
): boolean {
  return subscription.disconnectTime === undefined && subscription.controlPlaneInstanceId !== instanceId;
}

async function guarded(log: Logger, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    log.warn('sweeping stale proxies failed, trying again later', { error });
  }
}
