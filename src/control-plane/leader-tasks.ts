import { aggregateInsights } from '../insights/aggregate.ts';
import { sweepStaleProxies } from '../insights/stale.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { MeshWatcher } from '../push/mesh-watcher.ts';
import type { Registry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import { isShared, type ResourceStore } from '../store/store.ts';
import type { CaRotationService } from './ca-rotation/ca-rotations.ts';
import type { ControlPlaneConfig } from './config.ts';
import type { MeshLifecycle } from './mesh-lifecycle.ts';
import { createMissingMesh, prepareMeshes } from './prepare-meshes.ts';

/** What only one control plane of a store does. Resolves when `signal` has aborted. */
export async function runLeaderTasks(options: {
  config: ControlPlaneConfig;
  store: ResourceStore;
  registry: Registry;
  policyTypes: readonly string[];
  watcher: MeshWatcher;
  meshLifecycle: MeshLifecycle;
  caRotations: CaRotationService;
  /** A Mesh that is made when it is missing. */
  missingMesh: Resource | undefined;
  /** What only the leader does in a cluster. */
  leadCluster: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** Of this process. */
  instanceId: string;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { config, store, registry, watcher, meshLifecycle, missingMesh: mesh, clock, log, signal } = options;
  const counted = registry.list().filter((kind) => !kind.readOnly && !kind.internal);
  await Promise.all([
    aggregateInsights({
      store,
      clock,
      log: log.named('insights'),
      snapshots: watcher,
      policyTypes: new Set(options.policyTypes),
      countedTypes: new Set(counted.map(({ type }) => type)),
      delayMs: config.metrics.mesh.minResyncInterval,
      signal,
    }),
    sweepStaleProxies({
      store,
      clock,
      log: log.named('insights'),
      instanceId: options.instanceId,
      alone: !isShared(store),
      // On Kubernetes a Dataplane ends with its Pod.
      cleanupAgeMs:
        config.environment === 'kubernetes' ? Number.POSITIVE_INFINITY : config.runtime.universal.dataplaneCleanupAge,
      signal,
    }),
    prepareMeshes({ store, meshLifecycle, clock, log: log.named('mesh'), signal }),
    options.caRotations.lead(signal),
    mesh && createMissingMesh({ store, mesh, clock, log, signal }),
    options.leadCluster?.(signal),
  ]);
}
