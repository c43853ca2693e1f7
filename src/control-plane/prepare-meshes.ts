import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { sleep } from '../lib/wait.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import { keyOf, type Resource } from '../resources/resource.ts';
import { followStore } from '../store/follow.ts';
import { type ResourceStore, StoreError } from '../store/store.ts';
import type { MeshLifecycle } from './mesh-lifecycle.ts';

const BACKOFF = { baseMs: 1000, maxMs: 30_000, jitter: 0 };

/**
 * Leader task: what a Mesh stands on (CAs, signing key) is made when it is missing, whoever wrote the Mesh and whenever; tried again until it is there or
 * the Mesh has changed. Ends when `signal` aborts.
 */
export async function prepareMeshes(options: {
  store: ResourceStore;
  meshLifecycle: Pick<MeshLifecycle, 'ensure'>;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { store, clock, log, signal } = options;
  const running = new Set<Promise<void>>();

  async function prepare(mesh: Resource<MeshSpec>): Promise<void> {
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        await options.meshLifecycle.ensure(mesh);
        return;
      } catch (error) {
        if (failures === 1)
          log.warn('preparing what a mesh stands on failed, trying again', { mesh: mesh.meta.name, error });
        await sleep(clock, backoffMs(failures, { ...BACKOFF, random: 0 }), signal);
        if ((await store.get(keyOf(mesh)).catch(() => mesh))?.meta.version !== mesh.meta.version) return;
      }
    }
  }

  const retryMs = BACKOFF.baseMs;
  await followStore({ store, clock, log, signal, types: ['Mesh'], what: 'meshes', retryMs }, (batch) => {
    for (const change of batch) {
      if (change.op !== 'upsert') continue;
      const work = prepare(change.resource as Resource<MeshSpec>).finally(() => running.delete(work));
      running.add(work);
    }
  });
  await Promise.all(running);
}

/** Creates the Mesh unless one of its name is there; tried again until that is so or `signal` aborts: on Kubernetes our own webhooks must answer first. */
export async function createMissingMesh(options: {
  store: ResourceStore;
  mesh: Resource;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { store, mesh, clock, log, signal } = options;
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      if ((await store.get(keyOf(mesh))) !== undefined) return;
      await store.create(mesh);
      log.info('mesh created', { mesh: mesh.meta.name });
      return;
    } catch (error) {
      if (error instanceof StoreError && error.code === 'already-exists') return;
      if (failures === 3) log.warn('creating a mesh failed, trying again', { mesh: mesh.meta.name, error });
      await sleep(clock, backoffMs(failures, { ...BACKOFF, random: 0 }), signal);
    }
  }
}
