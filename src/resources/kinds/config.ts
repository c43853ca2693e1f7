import { z } from 'zod';
import type { Kind } from '../kind.ts';
import type { DeepReadonly } from '../proto-json.ts';

/**
 * A text that the control planes of one deployment share, such as the cluster id. Not a secret, and not for users: never served, never exported.
 * Source: Kuma 2.11 `kuma.system.v1alpha1.Config`.
 */
const schema = z.strictObject({ config: z.string() });

export type ConfigSpec = DeepReadonly<z.infer<typeof schema>>;

export const configKind: Kind<ConfigSpec> = {
  type: 'Config',
  path: 'configs',
  pathAliases: [],
  scope: 'Global',
  model: 'inline',
  shortName: 'cfg',
  singularDisplayName: 'Config',
  pluralDisplayName: 'Configs',
  access: 'admin',
  readOnly: true,
  internal: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
