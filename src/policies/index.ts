import type { Kind } from '../resources/kind.ts';
import { meshTrafficPermissionKind } from './mesh-traffic-permission/kind.ts';

/** Every policy kind. A new policy is one folder and one line here. */
export const policyKinds: readonly Kind[] = [meshTrafficPermissionKind];
