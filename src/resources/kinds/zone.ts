import type { z } from 'zod';
import type { Kind } from '../kind.ts';
import { dns1035Warnings } from '../name.ts';
import { type DeepReadonly, flagWrapper, message } from '../proto-json.ts';
import { displayName } from '../well-known.ts';

/** Kuma's `system.v1alpha1.Zone`; absent `enabled` means true. */
const schema = message({ enabled: flagWrapper() });

export type ZoneSpec = DeepReadonly<z.infer<typeof schema>>;

export const zoneKind: Kind<ZoneSpec> = {
  type: 'Zone',
  path: 'zones',
  pathAliases: [],
  scope: 'Global',
  model: 'inline',
  shortName: 'z',
  singularDisplayName: 'Zone',
  pluralDisplayName: 'Zones',
  access: 'everyone',
  readOnly: false,
  internal: false,
  includeInFederation: false,
  kubernetesScope: 'Cluster',
  schema,
  validate: () => [],
  warnings: (_spec, resource) => dns1035Warnings('Zone', displayName(resource.meta)),
};
