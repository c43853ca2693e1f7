import { parseGoDuration } from '../lib/duration.ts';
import type { MeshMtls } from '../resources/kinds/mesh.ts';
import { RotationRefused } from './refusal.ts';
import { isEnded, type Rotation } from './rotation.ts';

/** What somebody asks for. */
export interface RotationRequest {
  /** Name of the backend that shall issue; for `renew` the one that gets a new CA. Absent with `renew`: the enabled one. */
  readonly to: string | undefined;
  /** A builtin backend gets a new CA. */
  readonly renew: boolean;
  /** `wait`, or a Go duration after which proxies that are away are not waited for any more. */
  readonly offline: string;
  readonly dropOld: boolean;
}

/**
 * The rotation to begin; the running one when it is what is asked for. `canRenew`: whether the backend's CA is this program's own.
 * Throws `RotationRefused`. Pure.
 */
export function beginRotation(options: {
  readonly mesh: string;
  readonly mtls: MeshMtls | undefined;
  readonly request: RotationRequest;
  readonly running: Rotation | undefined;
  readonly canRenew: (backend: string) => boolean;
  readonly startedBy: string;
  /** Epoch ms. */
  readonly now: number;
}): Rotation {
  const { mesh, mtls, request, running } = options;
  const enabled = mtls?.enabledBackend;
  if (enabled === undefined || enabled === '') {
    throw new RotationRefused(
      'invalid',
      `mTLS of mesh ${mesh} is off, so there is no CA to change; apply the Mesh with mtls.enabledBackend`,
    );
  }
  const to = request.renew ? (request.to ?? enabled) : request.to;
  if (to === undefined || to === '') throw new RotationRefused('invalid', 'say which backend shall issue', 'to');
  const listed = mtls?.backends?.map(({ name }) => name) ?? [];
  const kind = request.renew ? 'renew' : 'switch';
  if (running !== undefined && !isEnded(running)) {
    if (running.kind === kind && running.to === to && running.phase !== 'RollingBack') return running;
    throw new RotationRefused('conflict', runningText(mesh, running));
  }
  if (!listed.includes(to)) {
    throw new RotationRefused(
      'invalid',
      `mesh ${mesh} has no backend "${to}"; first apply the Mesh with it in mtls.backends beside "${enabled}", and enabledBackend unchanged`,
      'to',
    );
  }
  if (request.renew) {
    if (to !== enabled)
      throw new RotationRefused('invalid', `backend "${to}" issues nothing, so its CA need not be renewed`, 'to');
    if (!options.canRenew(to)) {
      throw new RotationRefused(
        'invalid',
        `the CA of backend "${to}" is not the control plane's own: renew it where it comes from, and proxies follow by themselves`,
        'to',
      );
    }
  } else if (to === enabled) {
    throw new RotationRefused(
      'invalid',
      `backend "${to}" issues already; choose another one of ${listed.join(', ')}, or renew its CA with renew`,
      'to',
    );
  }
  const offlineGraceMs = readOffline(request.offline);
  const at = new Date(options.now).toISOString();
  return {
    kind,
    from: enabled,
    to,
    phase: 'Trusting',
    paused: false,
    ...(offlineGraceMs === undefined ? {} : { offlineGraceMs }),
    dropOld: request.dropOld,
    startedAt: at,
    phaseSince: at,
    startedBy: options.startedBy,
  };
}

/** Milliseconds; `undefined`: as long as it takes. Throws `RotationRefused`. */
function readOffline(text: string): number | undefined {
  if (text === 'wait') return undefined;
  const ms = parseGoDuration(text);
  if (ms === undefined || ms < 0) {
    throw new RotationRefused('invalid', `"${text}" is neither wait nor a duration such as 10m`, 'offline');
  }
  return Math.round(ms);
}

/** The rotation that is under way, in a sentence with what can be done. */
export function runningText(mesh: string, { kind, from, to, phase }: Rotation): string {
  const what =
    kind === 'renew' ? `the CA of "${to}" is being renewed` : `a rotation from "${from}" to "${to}" is under way`;
  return `${what} (${phase}); see weft ca rotate --mesh ${mesh} --status, or take it back with weft ca rotate --mesh ${mesh} --rollback`;
}
