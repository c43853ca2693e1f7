import { z } from 'zod';
import type { Kind } from '../kind.ts';
import type { DeepReadonly } from '../proto-json.ts';

/**
 * Somebody asked to have certificates issued anew. Every control plane of a store follows these and does its part; the control plane's own record:
 * never served, never synced. The name follows from what is asked, so the same question again replaces it.
 */
const schema = z.strictObject({
  /** One Dataplane; absent with `service`: those of a service; neither: the whole mesh. */
  proxy: z.string().optional(),
  service: z.string().optional(),
  /** Only certificates of this backend. */
  backend: z.string().optional(),
  /** RFC 3339: certificates issued before are replaced. */
  at: z.string(),
});

export type RenewalRequestSpec = DeepReadonly<z.infer<typeof schema>>;

export const renewalRequestKind: Kind<RenewalRequestSpec> = {
  type: 'RenewalRequest',
  path: 'renewal-requests',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'rr',
  singularDisplayName: 'Renewal Request',
  pluralDisplayName: 'Renewal Requests',
  access: 'admin',
  readOnly: true,
  internal: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
