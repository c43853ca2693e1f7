import type { ResourceMeta } from './resource.ts';

/** Label names of the contract; source: Kuma 2.11 `mesh_proto` metadata. */
export const LABEL_MESH = 'kuma.io/mesh';
export const LABEL_ORIGIN = 'kuma.io/origin';
export const LABEL_ZONE = 'kuma.io/zone';
export const LABEL_ENV = 'kuma.io/env';
export const LABEL_DISPLAY_NAME = 'kuma.io/display-name';
export const LABEL_PROXY_TYPE = 'kuma.io/proxy-type';
export const LABEL_POLICY_ROLE = 'kuma.io/policy-role';
export const LABEL_EFFECT = 'kuma.io/effect';
export const LABEL_NAMESPACE = 'k8s.kuma.io/namespace';

/** The name people gave a resource: its display name label, else its name. */
export function displayName(meta: Pick<ResourceMeta, 'name' | 'labels'>): string {
  const label = meta.labels[LABEL_DISPLAY_NAME];
  return label === undefined || label === '' ? meta.name : label;
}
