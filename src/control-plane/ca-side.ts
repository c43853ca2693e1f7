import type { SecretCreator } from '../auth/secrets.ts';
import { ensureSigningKey } from '../auth/signing-keys.ts';
import type { CaBackendKind, CaDependencies } from '../ca/backend.ts';
import { caBackendKinds, createEgress, createFileReader } from '../ca/index.ts';
import { createCaPlugins } from '../ca/plugin/index.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { SteadyClock } from '../lib/steady-clock.ts';
import type { ResourceStore } from '../store/store.ts';
import { caPluginProgram } from './ca-plugins.ts';
import type { ControlPlaneConfig } from './config.ts';
import { createMeshLifecycle, type MeshLifecycle } from './mesh-lifecycle.ts';
import { createPendingLeaves } from './pending-leaves.ts';
import { createRehearsals, type Rehearsals } from './rehearsals.ts';
import { createSecretAccess } from './secrets.ts';

/** The kinds of CA there are, what they stand on, and what a Mesh asks of them before and after it is written. */
export interface CaSide {
  readonly caKinds: readonly CaBackendKind[];
  readonly caDependencies: CaDependencies;
  readonly rehearsals: Rehearsals;
  readonly meshLifecycle: MeshLifecycle;
  /** Resolves when each plug-in is loaded or has failed once. */
  readonly started: Promise<void>;
  /** Writes what is pending and ends the plug-ins. */
  close(): Promise<void>;
}

/** Longest time that the write of a Mesh waits for CAs elsewhere; in a webhook below the 9 s after which it must have answered. */
const REHEARSAL_MS = 10_000;
const REHEARSAL_IN_WEBHOOK_MS = 6000;

export function openCaSide(options: {
  config: ControlPlaneConfig;
  env: Readonly<Record<string, string | undefined>>;
  store: ResourceStore;
  /** Where signing keys of meshes are made. */
  secrets: SecretCreator;
  /** What backends may use of the cluster, on Kubernetes. */
  ofCluster: Partial<CaDependencies> | undefined;
  clock: Clock;
  certificateClock: SteadyClock;
  log: Logger;
  metrics: Metrics;
}): CaSide {
  const { config, env, store, secrets, clock, certificateClock, log, metrics } = options;
  const { allowedEndpoints, allowedFileRoots, plugins: settings } = config.weft.ca;
  const { workDir } = config.general;
  const random = Math.random;
  const plugins = createCaPlugins({ settings, program: caPluginProgram(), workDir, env, clock, random, log, metrics });
  const pending = createPendingLeaves({ store, clock, log: log.named('identity') });
  const caKinds = [...caBackendKinds, ...plugins.kinds];
  const caDependencies: CaDependencies = {
    secrets: createSecretAccess(store),
    readFile: createFileReader({ allowedFileRoots }),
    now: certificateClock.now,
    earliestNow: certificateClock.earliest,
    egress: createEgress({ allowedEndpoints }),
    pending,
    ...options.ofCluster,
  };
  const rehearsals = createRehearsals({
    store,
    caKinds,
    caDependencies,
    onWriteMs: config.environment === 'kubernetes' ? REHEARSAL_IN_WEBHOOK_MS : REHEARSAL_MS,
    clock,
    log: log.named('mesh'),
    metrics,
  });
  return {
    caKinds,
    caDependencies,
    rehearsals,
    meshLifecycle: createMeshLifecycle({
      store,
      caKinds,
      caDependencies,
      rehearse: (mesh, previous) => rehearsals.violations(mesh, previous),
      async ensureSigningKey(mesh) {
        await ensureSigningKey(secrets, 'dataplane', mesh);
      },
      unsafeDelete: config.store.unsafeDelete,
    }),
    started: plugins.started,
    async close() {
      await pending.close();
      await plugins.close();
    },
  };
}
