import { z } from 'zod';
import type { Kind } from '../kind.ts';
import { type DeepReadonly, timestamp } from '../proto-json.ts';

/** Where a change of a CA is; see `rotation/rotation.ts` for what each phase waits for. */
const ROTATION_PHASES = ['Trusting', 'Issuing', 'Retiring', 'RollingBack', 'Done', 'RolledBack', 'Cancelled'] as const;

/**
 * The change of a CA of one mesh: what was asked for and how far it has come, so that any control plane can go on with it (decision 0023).
 * The control plane's own record, served as `/meshes/{mesh}/_ca-rotation`. Its name is the mesh's.
 */
const schema = z.strictObject({
  /** `switch`: another backend of the Mesh issues. `renew`: a builtin backend gets a new CA. */
  kind: z.enum(['switch', 'renew']),
  /** Names of backends; the same one for `renew`. */
  from: z.string(),
  to: z.string(),
  phase: z.enum(ROTATION_PHASES),
  paused: z.boolean(),
  /** Milliseconds that a step waits for proxies that are not connected; absent: until they are back or their leaf has expired. */
  offlineGraceMs: z.number().int().nonnegative().optional(),
  /** The old backend is taken off the Mesh in the end; a renewed CA always drops the old one. */
  dropOld: z.boolean(),
  /** Time after which the new CA issues even when proxies have not acknowledged it: the old one is about to expire. */
  goOnAt: timestamp().optional(),
  startedAt: timestamp(),
  phaseSince: timestamp(),
  /** Who asked for it: a user, or the control plane itself. */
  startedBy: z.string(),
  /** Why it ended, when that was not its own end. */
  message: z.string().optional(),
});

export type CaRotationSpec = DeepReadonly<z.infer<typeof schema>>;
export type RotationPhase = CaRotationSpec['phase'];

export const caRotationKind: Kind<CaRotationSpec> = {
  type: 'CaRotation',
  path: 'ca-rotations',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'carot',
  singularDisplayName: 'CA Rotation',
  pluralDisplayName: 'CA Rotations',
  access: 'admin',
  readOnly: true,
  internal: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
