import type { RotationRequest } from '../rotation/request.ts';
import type { RotationStatus } from '../rotation/status.ts';

/** Changing the CA of a mesh; `control-plane/ca-rotation` has it. All but `status` throw `RotationRefused`. */
export interface CaRotations {
  /** The running rotation, or the last one; `undefined`: there was none. */
  status(mesh: string): Promise<RotationStatus | undefined>;
  /** Begins it; when the running one is what is asked for, that. */
  start(mesh: string, request: RotationRequest, startedBy: string): Promise<RotationStatus>;
  pause(mesh: string, paused: boolean): Promise<RotationStatus>;
  /** The old CA issues again; nothing was lost. */
  rollBack(mesh: string): Promise<RotationStatus>;
}
