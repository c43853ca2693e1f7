import type { z } from 'zod';
import type { Kind } from '../kind.ts';
import { bytes, type DeepReadonly, message } from '../proto-json.ts';

/** Kuma's `system.v1alpha1.Secret`: `data` is base64. */
const secretSchema = message({ data: bytes() });

export type SecretSpec = DeepReadonly<z.infer<typeof secretSchema>>;

export const secretKind: Kind<SecretSpec> = {
  type: 'Secret',
  path: 'secrets',
  pathAliases: [],
  scope: 'Mesh',
  model: 'inline',
  shortName: '',
  singularDisplayName: 'Secret',
  pluralDisplayName: 'Secrets',
  access: 'admin',
  readOnly: false,
  internal: false,
  includeInFederation: true,
  kubernetesScope: 'Namespaced',
  schema: secretSchema,
  // An empty value means something: a list of revoked tokens with nobody on it.
  validate: () => [],
};
