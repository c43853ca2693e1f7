import type { Kind } from '../../resources/kind.ts';
import { secretTypeOf } from '../../resources/kubernetes.ts';
import type { ResourceType } from './object.ts';

export const KUMA_GROUP = 'kuma.io';
export const KUMA_VERSION = 'v1alpha1';

/** The collection a kind's objects are in: one of group `kuma.io`, or v1 Secrets. Its plural is the REST path without hyphens, as in Kuma. */
export function kindResourceType(kind: Kind): ResourceType {
  if (secretTypeOf(kind) !== undefined)
    return { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };
  return {
    group: KUMA_GROUP,
    version: KUMA_VERSION,
    plural: kind.path.replaceAll('-', ''),
    kind: kind.type,
    namespaced: kind.kubernetesScope === 'Namespaced',
  };
}
