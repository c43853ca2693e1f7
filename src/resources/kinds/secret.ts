import type { z } from 'zod';
import type { Kind } from '../kind.ts';
import { bytes, type DeepReadonly, message } from '../proto-json.ts';
import type { Resource } from '../resource.ts';

/** Kuma's `system.v1alpha1.Secret`: `data` is base64. */
export const secretSchema = message({ data: bytes() });

export type SecretSpec = DeepReadonly<z.infer<typeof secretSchema>>;

/** Decoded value; empty when there is none. */
export function secretValue(spec: SecretSpec): Buffer {
  return Buffer.from(spec.data ?? '', 'base64');
}

/** Spec that holds `value`. */
export function secretSpec(value: Uint8Array): SecretSpec {
  return { data: Buffer.from(value).toString('base64') };
}

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

/** A Secret whose value may be shown to nobody: same metadata, data replaced. For logs and error texts. */
export function maskSecret(resource: Resource): Resource {
  return { ...resource, spec: { data: '***' } };
}
