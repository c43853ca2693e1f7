import { z } from 'zod';
import type { Kind } from '../kind.ts';
import type { DeepReadonly } from '../proto-json.ts';

/**
 * A held leaf certificate of one proxy, sealed at rest so that a restart re-issues nothing. The control plane's own record:
 * never served, never synced. The name is the Dataplane's.
 */
const schema = z.strictObject({
  /** base64 of the sealed bytes; only `identity/` can open them. */
  sealed: z.base64(),
  /** Which key sealed it. */
  keyId: z.string().optional(),
  /** RFC 3339; after it the record is worthless and may be swept. */
  notAfter: z.string().optional(),
});

export type SealedLeafSpec = DeepReadonly<z.infer<typeof schema>>;

export const sealedLeafKind: Kind<SealedLeafSpec> = {
  type: 'SealedLeaf',
  path: 'sealed-leaves',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'sl',
  singularDisplayName: 'Sealed Leaf',
  pluralDisplayName: 'Sealed Leaves',
  access: 'admin',
  readOnly: true,
  internal: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
