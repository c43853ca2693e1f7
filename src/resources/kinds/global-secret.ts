import type { Kind } from '../kind.ts';
import { type SecretSpec, secretKind } from './secret.ts';

/** A Secret that belongs to no mesh: signing keys, admin tokens. */
export const globalSecretKind: Kind<SecretSpec> = {
  ...secretKind,
  type: 'GlobalSecret',
  path: 'globalsecrets',
  pathAliases: ['global-secrets'],
  scope: 'Global',
  singularDisplayName: 'Global Secret',
  pluralDisplayName: 'Global Secrets',
};
