// MeshTrafficPermission is a Kuma kind (2.0; `rules` since 2.13).
import { z } from 'zod';
import type { DeepReadonly } from '../../resources/proto-json.ts';
import { targetRefSchema } from '../core/target-ref.ts';

const action = z.enum(['Allow', 'Deny', 'AllowWithShadowDeny']);

/** Which clients an entry of `rules` means. */
const match = z.strictObject({
  spiffeID: z.strictObject({ type: z.enum(['Exact', 'Prefix']), value: z.string() }).optional(),
});

export const schema = z.strictObject({
  targetRef: targetRefSchema.optional(),
  from: z
    .array(
      z.strictObject({ targetRef: targetRefSchema, default: z.strictObject({ action: action.optional() }).optional() }),
    )
    .optional(),
  rules: z
    .array(
      z.strictObject({
        default: z.strictObject({
          deny: z.array(match).optional(),
          allowWithShadowDeny: z.array(match).optional(),
          allow: z.array(match).optional(),
        }),
      }),
    )
    .optional(),
});

export type MeshTrafficPermissionSpec = DeepReadonly<z.infer<typeof schema>>;
export type PermissionAction = z.infer<typeof action>;
export type PermissionMatch = DeepReadonly<z.infer<typeof match>>;
