import { nextStep } from './machine.ts';
import { type RotationProgress, rotationProgress } from './progress.ts';
import { isEnded, type Rotation, type Sighting, type Waiting } from './rotation.ts';

/** A rotation for people: status of the Mesh, API, command line. */
export interface RotationStatus {
  readonly rotation: Rotation;
  /** What it waits for; `undefined`: for nothing, or it has ended. */
  readonly waiting: Waiting | undefined;
  readonly progress: RotationProgress;
}

/** The rotation as it is when the mesh is as seen. Pure. */
export function rotationStatus(rotation: Rotation, seen: Sighting): RotationStatus {
  const step = nextStep(rotation, seen);
  return {
    rotation,
    waiting: step.kind === 'wait' ? step.waiting : undefined,
    progress: rotationProgress(rotation, seen),
  };
}

/** The rotation as JSON: what was asked for, where it is, what it waits for, how far it is. Times as RFC 3339, durations in ms. Pure. */
export function rotationJson({ rotation, waiting, progress }: RotationStatus): object {
  const { message, ...rest } = rotation;
  return { ...rest, ended: isEnded(rotation), ...waitingJson(waiting, message), progress };
}

/** As `rotationJson`, short enough for the status of a Mesh: services are counted, not listed. Pure. */
export function rotationView(status: RotationStatus): object {
  const { rotation, waiting, progress } = status;
  const { kind, from, to, phase, startedAt, phaseSince, message } = rotation;
  return { kind, from, to, phase, startedAt, phaseSince, ...waitingJson(waiting, message), proxies: progress.total };
}

function waitingJson(waiting: Waiting | undefined, ended: string | undefined): object {
  if (waiting === undefined) return ended === undefined ? {} : { message: ended };
  const { reason, message, fix, proxies } = waiting;
  return { reason, message, ...(fix === undefined ? {} : { fix }), waitingFor: proxies };
}
