import type { CaBackendKind } from '../../ca/backend.ts';
import type { IdentityService } from '../../identity/identity.ts';
import { createSchedule } from '../../identity/schedule.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';
import { enabledMtlsBackend, leafLifetimeMs, type MeshSpec } from '../../resources/kinds/mesh.ts';
import { renewalPlan } from '../../rotation/renewal-time.ts';
import { beginRotation } from '../../rotation/request.ts';
import { isEnded } from '../../rotation/rotation.ts';
import type { ResourceStore } from '../../store/store.ts';
import type { RotationRecords } from './rotation-records.ts';

const RETRY_MS = 5000;
/** A renewal that was taken back is begun again after this, or after a quarter of what is left of the CA. Milliseconds. */
const AFTER_ROLLBACK_MS = 86_400_000;

/**
 * Leader task: the CA that a builtin backend issues from is followed by the next one well before it ends. Nothing runs until the time has come. Resolves when
 * `signal` has aborted.
 */
export async function renewBuiltinCas(options: {
  readonly store: ResourceStore;
  readonly records: RotationRecords;
  readonly caKinds: readonly CaBackendKind[];
  readonly identity: Pick<IdentityService, 'backends'>;
  readonly subscribe: (changed: (mesh: string) => void) => () => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { store, records, identity, clock, log, signal } = options;
  const working = new Set<Promise<void>>();
  const schedule = createSchedule(clock, (meshes) => meshes.forEach(consider));

  function consider(mesh: string): void {
    if (signal.aborted) return;
    const work = plan(mesh).catch((error: unknown) => {
      log.warn('looking after the builtin CA of a mesh failed, trying again', { mesh, error });
      schedule.set(mesh, clock.now() + RETRY_MS);
    });
    working.add(work);
    void work.finally(() => working.delete(work));
  }

  /** Begins a renewal when it is time, else says when to look again. */
  async function plan(mesh: string): Promise<void> {
    const spec = (await store.get({ type: 'Mesh', mesh: '', name: mesh }))?.spec as MeshSpec | undefined;
    const backend = spec && enabledMtlsBackend(spec);
    const renews = options.caKinds.find(({ type }) => type === backend?.type)?.renewal !== undefined;
    const root = identity
      .backends(mesh)
      .find(({ name }) => name === backend?.name)
      ?.roots.find(({ current }) => current);
    if (backend === undefined || !renews || root === undefined) {
      schedule.clear(mesh);
      return;
    }
    const now = clock.now();
    const { startAt, goOnAt } = renewalPlan({
      ...root,
      leafLifetimeMs: leafLifetimeMs(backend),
    });
    const stored = await records.read(mesh);
    // When that one has ended, its CA is heard of again; what it leaves is looked at then.
    if (stored !== undefined && !isEnded(stored.rotation)) {
      schedule.set(mesh, Math.max(startAt, now + RETRY_MS));
      return;
    }
    const rolledBackAt = stored?.rotation.phase === 'RolledBack' ? Date.parse(stored.rotation.phaseSince) : undefined;
    const patience = Math.min(AFTER_ROLLBACK_MS, Math.max(0, root.notAfter - (rolledBackAt ?? 0)) / 4);
    const beginAt = Math.max(startAt, rolledBackAt === undefined ? 0 : rolledBackAt + patience);
    if (beginAt > now) {
      schedule.set(mesh, beginAt);
      return;
    }
    const request = { to: backend.name, renew: true, offline: 'wait', dropOld: true };
    const rotation = beginRotation({
      mesh,
      mtls: spec?.mtls,
      request,
      running: undefined,
      canRenew: () => true,
      startedBy: 'control plane',
      now,
    });
    const begun = await records.write(mesh, { ...rotation, goOnAt: new Date(goOnAt).toISOString() }, stored?.version);
    if (begun)
      log.info('the CA of a builtin backend is renewed before it ends', {
        mesh,
        backend: backend.name,
        endsAt: new Date(root.notAfter).toISOString(),
      });
    schedule.set(mesh, now + RETRY_MS);
  }

  const unsubscribe = options.subscribe(consider);
  while (!signal.aborted) {
    try {
      for await (const batch of store.watch({ types: ['Mesh'], signal }))
        for (const change of batch) if (change.op === 'upsert') consider(change.resource.meta.name);
    } catch (error) {
      if (!signal.aborted) log.warn('watching meshes failed, trying again', { error });
    }
    await sleep(clock, RETRY_MS, signal);
  }
  unsubscribe();
  schedule.close();
  await Promise.allSettled(working);
}
