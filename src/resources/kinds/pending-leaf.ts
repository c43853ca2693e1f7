import { z } from 'zod';
import type { Kind } from '../kind.ts';
import type { DeepReadonly } from '../proto-json.ts';

/**
 * A certificate that an issuer was asked for and that has not come yet, where asking twice is paid twice: the next process goes on with it. The control
 * plane's own record: never served, never synced. The name is the Dataplane's.
 */
const schema = z.strictObject({
  backend: z.string(),
  /** base64 of the private key, sealed as a leaf is; absent: the key is beside the proxy. */
  sealedKey: z.base64().optional(),
  /** What the backend needs to go on; JSON that only it reads. */
  request: z.string(),
  /** RFC 3339; after it the record is worthless and may be swept. */
  until: z.string(),
});

export type PendingLeafSpec = DeepReadonly<z.infer<typeof schema>>;

export const pendingLeafKind: Kind<PendingLeafSpec> = {
  type: 'PendingLeaf',
  path: 'pending-leaves',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'pl',
  singularDisplayName: 'Pending Leaf',
  pluralDisplayName: 'Pending Leaves',
  access: 'admin',
  readOnly: true,
  internal: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
