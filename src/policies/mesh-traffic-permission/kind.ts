import type { Kind } from '../../resources/kind.ts';
import { type MeshTrafficPermissionSpec, schema } from './schema.ts';
import { validate, warnings } from './validate.ts';

/** Who may call whom; a Kuma kind. */
export const meshTrafficPermissionKind: Kind<MeshTrafficPermissionSpec> = {
  type: 'MeshTrafficPermission',
  path: 'meshtrafficpermissions',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'mtp',
  singularDisplayName: 'Mesh Traffic Permission',
  pluralDisplayName: 'Mesh Traffic Permissions',
  access: 'everyone',
  readOnly: false,
  internal: false,
  includeInFederation: true,
  kubernetesScope: 'Namespaced',
  policy: { hasToTargetRef: false, hasFromTargetRef: true, isFromAsRules: false },
  schema,
  validate,
  warnings,
};
