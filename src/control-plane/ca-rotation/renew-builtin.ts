import type { BackendConfig, CaBackendKind, CaDependencies, CaRenewal } from '../../ca/backend.ts';
import type { IdentityService, TrustedRoot } from '../../identity/identity.ts';
import { createSchedule } from '../../identity/schedule.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { leafLifetimeMs, type MeshMtls, type MeshSpec, type MtlsBackend } from '../../resources/kinds/mesh.ts';
import { type RenewalPlan, renewalPlan } from '../../rotation/renewal-time.ts';
import { beginRotation } from '../../rotation/request.ts';
import { isEnded, type Rotation } from '../../rotation/rotation.ts';
import { followStore } from '../../store/follow.ts';
import type { ResourceStore } from '../../store/store.ts';
import type { RotationRecords } from './rotation-records.ts';

const RETRY_MS = 5000;
/** A renewal that was taken back is begun again after this, or after a quarter of what is left of the CA. Milliseconds. */
const AFTER_ROLLBACK_MS = 86_400_000;

/**
 * Leader task: the CA of a builtin backend is followed by the next one well before it ends. Nothing runs until the time has come. Resolves when
 * `signal` has aborted.
 */
export async function renewBuiltinCas(options: {
  readonly store: ResourceStore;
  readonly records: RotationRecords;
  readonly caKinds: readonly CaBackendKind[];
  readonly caDependencies: CaDependencies;
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

  /** Begins what it is time for, and says when to look again. */
  async function plan(mesh: string): Promise<void> {
    const mtls = ((await store.get({ type: 'Mesh', mesh: '', name: mesh }))?.spec as MeshSpec | undefined)?.mtls;
    const stored = await records.read(mesh);
    let lookAt = Number.POSITIVE_INFINITY;
    for (const backend of mtls?.backends ?? []) {
      const renewal = options.caKinds.find(({ type }) => type === backend.type)?.renewal;
      const known = identity.backends(mesh).find(({ name }) => name === backend.name);
      const root = known?.roots.find(({ current }) => current);
      if (renewal === undefined || root === undefined) continue;
      const at = dueTime(root, backend, stored?.rotation);
      lookAt = Math.min(lookAt, Math.max(at, clock.now() + RETRY_MS));
      // When that one has ended, what it leaves is looked at.
      if (at > clock.now() || (stored !== undefined && !isEnded(stored.rotation))) continue;
      const facts = { mesh, backend: backend.name, endsAt: new Date(root.notAfter).toISOString() };
      log.info('the CA of a builtin backend is followed by the next one before it ends', facts);
      if (backend.name === mtls?.enabledBackend) await begin(mesh, mtls, root, backend, stored?.version);
      else await replaceIdle(renewal, { mesh, name: backend.name, type: backend.type, conf: backend.conf ?? {} });
    }
    if (lookAt === Number.POSITIVE_INFINITY) schedule.clear(mesh);
    else schedule.set(mesh, lookAt);
  }

  /** A backend that issues: step by step, as the proxies follow. */
  async function begin(
    mesh: string,
    mtls: MeshMtls,
    root: TrustedRoot,
    backend: MtlsBackend,
    version: string | undefined,
  ): Promise<void> {
    const request = { to: backend.name, renew: true, offline: 'wait', dropOld: true };
    const given = { mesh, mtls, request, running: undefined, canRenew: () => true, startedBy: 'control plane' };
    const rotation = beginRotation({ ...given, now: clock.now() });
    const goOnAt = new Date(planOf(root, backend).goOnAt).toISOString();
    await records.write(mesh, { ...rotation, goOnAt }, version);
  }

  /** One that issues nothing: nobody waits for anything. Leaves it issued before keep their CA trusted until they are gone. */
  async function replaceIdle(renewal: CaRenewal, config: BackendConfig): Promise<void> {
    await renewal.prepare(config, options.caDependencies);
    await renewal.activate(config, options.caDependencies);
    await renewal.retire(config, options.caDependencies);
  }

  const unsubscribe = options.subscribe(consider);
  await followStore({ store, clock, log, signal, types: ['Mesh'], what: 'meshes', retryMs: RETRY_MS }, (batch) => {
    for (const change of batch) if (change.op === 'upsert') consider(change.resource.meta.name);
  });
  unsubscribe();
  schedule.close();
  await Promise.allSettled(working);
}

function planOf(root: TrustedRoot, backend: MtlsBackend): RenewalPlan {
  return renewalPlan({ ...root, leafLifetimeMs: leafLifetimeMs(backend) });
}

/** When its CA is to be followed by the next one, epoch ms; later when that was just taken back. */
function dueTime(root: TrustedRoot, backend: MtlsBackend, last: Rotation | undefined): number {
  const { startAt } = planOf(root, backend);
  if (last?.phase !== 'RolledBack' || last.kind !== 'renew' || last.to !== backend.name) return startAt;
  const rolledBackAt = Date.parse(last.phaseSince);
  return Math.max(startAt, rolledBackAt + Math.min(AFTER_ROLLBACK_MS, Math.max(0, root.notAfter - rolledBackAt) / 4));
}
