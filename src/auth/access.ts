/** Who asks, after authentication. Source: Kuma 2.11 `pkg/core/user`. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

export const ADMIN_USER: User = { name: 'mesh-system:admin', groups: ['mesh-system:admin', 'mesh-system:authenticated'] };
export const ANONYMOUS_USER: User = { name: 'mesh-system:anonymous', groups: ['mesh-system:unauthenticated'] };
