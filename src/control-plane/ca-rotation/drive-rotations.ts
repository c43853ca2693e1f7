import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { CaRotationSpec } from '../../resources/kinds/ca-rotation.ts';
import { nextStep } from '../../rotation/machine.ts';
import { isEnded, type Rotation } from '../../rotation/rotation.ts';
import { type RotationStatus, rotationStatus } from '../../rotation/status.ts';
import { followStore } from '../../store/follow.ts';
import type { Change, ResourceStore } from '../../store/store.ts';
import type { RotationHands } from './rotation-hands.ts';
import type { RotationRecords } from './rotation-records.ts';

/** News that follow each other within this time are one look. Milliseconds. */
const QUIET_MS = 200;
/** A look at a big mesh takes a while: it is no more than this share of the leader's time. */
const LOOK_SHARE = 0.1;
/** A wait is looked at again after this at the latest: a clock may have been set. Milliseconds. */
const LONGEST_WAIT_MS = 60_000;
const BACKOFF = { baseMs: 1000, maxMs: 30_000, jitter: 0 };
/** Steps of one look; more than a whole rotation has. */
const MOST_STEPS = 20;

/**
 * Leader task: walks every running rotation on, at each change of the Mesh, of what its proxies have acknowledged, or of its backends. What is done is
 * found out anew each time, so a leader that dies is followed by one that goes on. Resolves when `signal` has aborted.
 */
export async function driveRotations(options: {
  readonly store: ResourceStore;
  readonly records: RotationRecords;
  readonly hands: RotationHands;
  /** Calls `changed` when the backends of a mesh are in another state; returns the unsubscriber. */
  readonly subscribe: (changed: (mesh: string) => void) => () => void;
  /** After each look. */
  readonly seen: (mesh: string, status: RotationStatus) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { store, records, hands, clock, log, signal } = options;
  /** Meshes with a rotation that has not ended. */
  const running = new Set<string>();
  const plans = new Map<string, { at: number; timer: Timer }>();
  const looking = new Map<string, Promise<void>>();
  const failures = new Map<string, number>();
  /** How long the last look took, in ms. */
  const took = new Map<string, number>();

  /** The earlier of two looks that are planned is the one. */
  function lookAfter(mesh: string, delayMs: number): void {
    if (signal.aborted || !running.has(mesh)) return;
    const at = clock.monotonic() + delayMs;
    const planned = plans.get(mesh);
    if (planned !== undefined && planned.at <= at) return;
    planned?.timer.cancel();
    const timer = clock.after(delayMs, () => {
      plans.delete(mesh);
      const former = looking.get(mesh) ?? Promise.resolve();
      looking.set(
        mesh,
        former.then(() => look(mesh)),
      );
    });
    plans.set(mesh, { at, timer });
  }

  function lookSoon(mesh: string): void {
    lookAfter(mesh, Math.max(QUIET_MS, (took.get(mesh) ?? 0) / LOOK_SHARE));
  }

  async function look(mesh: string): Promise<void> {
    const started = clock.monotonic();
    try {
      const delayMs = await walk(mesh);
      failures.delete(mesh);
      took.set(mesh, clock.monotonic() - started);
      if (delayMs !== undefined) lookAfter(mesh, delayMs);
    } catch (error) {
      if (signal.aborted) return;
      const count = (failures.get(mesh) ?? 0) + 1;
      failures.set(mesh, count);
      log.warn('changing the CA of a mesh failed, trying again', { mesh, error });
      lookAfter(mesh, backoffMs(count, { ...BACKOFF, random: 0 }));
    }
  }

  /** As far as it goes now. Milliseconds until the next look; `undefined`: when something is heard. */
  async function walk(mesh: string): Promise<number | undefined> {
    for (let steps = 0; steps < MOST_STEPS && !signal.aborted; steps += 1) {
      const stored = await records.read(mesh);
      if (stored === undefined) {
        running.delete(mesh);
        return undefined;
      }
      const { rotation, version } = stored;
      const sighting = await hands.look(mesh, rotation);
      options.seen(mesh, rotationStatus(rotation, sighting));
      const step = nextStep(rotation, sighting);
      if (signal.aborted) return undefined;
      switch (step.kind) {
        case 'ended':
          running.delete(mesh);
          return undefined;
        case 'wait':
          return step.until === undefined
            ? undefined
            : Math.min(Math.max(0, step.until - clock.now()), LONGEST_WAIT_MS);
        case 'enter':
          if (await records.write(mesh, step.rotation, version)) log.info('CA rotation', factsOf(mesh, step.rotation));
          break;
        case 'act':
          await hands.act(mesh, rotation, step.action);
          log.info('CA rotation', { ...factsOf(mesh, rotation), did: step.action });
          break;
        default:
          return step satisfies never;
      }
    }
    return QUIET_MS;
  }

  function follow(change: Change): void {
    if (change.op === 'synced') return;
    const key = change.op === 'delete' ? change.key : { type: change.resource.type, ...change.resource.meta };
    const mesh = key.type === 'Mesh' ? key.name : key.mesh;
    if (key.type === 'CaRotation') {
      if (change.op === 'upsert' && !isEnded(change.resource.spec as CaRotationSpec)) running.add(mesh);
      else if (change.op === 'delete') running.delete(mesh);
    }
    lookSoon(mesh);
  }

  const unsubscribe = options.subscribe(lookSoon);
  const types = ['CaRotation', 'Mesh', 'DataplaneInsight'];
  await followStore({ store, clock, log, signal, types, what: 'CA rotations', retryMs: BACKOFF.baseMs }, (batch) =>
    batch.forEach(follow),
  );
  unsubscribe();
  for (const { timer } of plans.values()) timer.cancel();
  await Promise.allSettled(looking.values());
}

function factsOf(mesh: string, { kind, from, to, phase, message }: Rotation) {
  return { mesh, kind, from, to, phase, ...(message === undefined ? {} : { reason: message }) };
}
