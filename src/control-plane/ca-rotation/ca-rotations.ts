/**
 * The change of CAs, put together: what the API and the command line ask for (any control plane), the leader task that walks rotations on, and the one that
 * renews a builtin CA before it ends. `rotation/` decides, this folder looks and acts.
 */
import type { IdentityService } from '../../identity/identity.ts';
import type { Logger } from '../../lib/log.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import type { CaRotations } from '../../rest/ca-rotations.ts';
import { enter } from '../../rotation/machine.ts';
import { RotationRefused } from '../../rotation/refusal.ts';
import { beginRotation } from '../../rotation/request.ts';
import { isEnded, type Rotation } from '../../rotation/rotation.ts';
import { type RotationStatus, rotationStatus } from '../../rotation/status.ts';
import { driveRotations } from './drive-rotations.ts';
import { renewBuiltinCas } from './renew-builtin.ts';
import { createRotationHands, type RotationHandsOptions } from './rotation-hands.ts';
import { createRotationRecords, type StoredRotation } from './rotation-records.ts';

export interface CaRotationService extends CaRotations {
  /** As the leader has seen it last; `undefined`: this control plane does not lead, or there was none since it does. */
  view(mesh: string): RotationStatus | undefined;
  /** Calls `changed` when `view(mesh)` is another one. Returns the unsubscriber. */
  subscribe(changed: (mesh: string) => void): () => void;
  /** Leader task; resolves when `signal` has aborted. */
  lead(signal: AbortSignal): Promise<void>;
}

const WRITE_ATTEMPTS = 5;

export function createCaRotations(
  options: RotationHandsOptions & {
    readonly identity: Pick<IdentityService, 'backends' | 'subscribe'>;
    readonly log: Logger;
  },
): CaRotationService {
  const { store, identity, clock, log } = options;
  const hands = createRotationHands(options);
  const records = createRotationRecords(store);
  const views = new Map<string, RotationStatus>();
  const listeners = new Set<(mesh: string) => void>();

  async function mtlsOf(mesh: string) {
    return ((await store.get({ type: 'Mesh', mesh: '', name: mesh }))?.spec as MeshSpec | undefined)?.mtls;
  }

  /** Replaces the rotation by what `change` makes of it; again when somebody else wrote meanwhile. */
  async function change(
    mesh: string,
    make: (stored: StoredRotation | undefined) => Promise<Rotation>,
  ): Promise<RotationStatus> {
    for (let attempt = 1; attempt <= WRITE_ATTEMPTS; attempt += 1) {
      const stored = await records.read(mesh);
      const rotation = await make(stored);
      if (rotation !== stored?.rotation && !(await records.write(mesh, rotation, stored?.version))) continue;
      return rotationStatus(rotation, await hands.look(mesh, rotation));
    }
    throw new RotationRefused(
      'conflict',
      `the rotation of mesh ${mesh} is being changed by others all the time; try again`,
    );
  }

  function requireRunning(mesh: string, stored: StoredRotation | undefined): Rotation {
    if (stored !== undefined && !isEnded(stored.rotation)) return stored.rotation;
    throw new RotationRefused(
      'missing',
      `no CA rotation of mesh ${mesh} is under way; begin one with weft ca rotate --mesh ${mesh} --to BACKEND`,
    );
  }

  const start: CaRotations['start'] = (mesh, request, startedBy) =>
    change(mesh, async (stored) => {
      const mtls = await mtlsOf(mesh);
      const typeOf = (name: string) => mtls?.backends?.find((backend) => backend.name === name)?.type;
      return beginRotation({
        mesh,
        mtls,
        request,
        running: stored?.rotation,
        canRenew: (backend) => options.caKinds.find(({ type }) => type === typeOf(backend))?.renewal !== undefined,
        startedBy,
        now: clock.now(),
      });
    });

  return {
    start,
    async status(mesh) {
      const stored = await records.read(mesh);
      return stored && rotationStatus(stored.rotation, await hands.look(mesh, stored.rotation));
    },
    pause: (mesh, paused) => change(mesh, async (stored) => ({ ...requireRunning(mesh, stored), paused })),
    rollBack: (mesh) =>
      change(mesh, async (stored) => {
        const rotation = requireRunning(mesh, stored);
        if (rotation.phase === 'RollingBack') return rotation;
        const { issuing, otherKept } = await hands.look(mesh, rotation);
        if (issuing === 'new' && !otherKept) {
          throw new RotationRefused(
            'conflict',
            `the CA that mesh ${mesh} came from is not trusted any more; list backend "${rotation.from}" again and rotate to it`,
          );
        }
        return { ...enter(rotation, 'RollingBack', clock.now()), paused: false };
      }),
    view: (mesh) => views.get(mesh),
    subscribe(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    async lead(signal) {
      const subscribe = (changed: (mesh: string) => void) =>
        identity.subscribe((event) => {
          if (event.kind === 'backends') changed(event.mesh);
        });
      await Promise.all([
        driveRotations({
          store,
          records,
          hands,
          subscribe,
          seen(mesh, status) {
            views.set(mesh, status);
            for (const listener of listeners) listener(mesh);
          },
          clock,
          log,
          signal,
        }),
        renewBuiltinCas({ ...options, records, subscribe, signal }),
      ]);
      views.clear();
    },
  };
}
