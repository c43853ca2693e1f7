/** Who asks, after authentication. Source: Kuma 2.11 `pkg/core/user`. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

export const AUTHENTICATED_GROUP = 'mesh-system:authenticated';
export const UNAUTHENTICATED_GROUP = 'mesh-system:unauthenticated';
export const ADMIN_USER: User = {
  name: 'mesh-system:admin',
  groups: ['mesh-system:admin', 'mesh-system:authenticated'],
};
export const ANONYMOUS_USER: User = { name: 'mesh-system:anonymous', groups: ['mesh-system:unauthenticated'] };

/** What a rule guards. Names are those of Kuma's `access.static` settings. */
export type Action =
  | 'adminResources'
  | 'generateDpToken'
  | 'generateUserToken'
  | 'generateZoneToken'
  | 'viewConfigDump'
  | 'viewStats'
  | 'viewClusters'
  | 'controlPlaneMetadata';

/** A user may when named, or when in one of the groups. */
export interface AccessRule {
  readonly users: readonly string[];
  readonly groups: readonly string[];
}

export type AccessRules = Readonly<Record<Action, AccessRule>>;

const ADMINS: AccessRule = { users: ['mesh-system:admin'], groups: ['mesh-system:admin'] };
const EVERYONE: AccessRule = { users: [], groups: [UNAUTHENTICATED_GROUP, AUTHENTICATED_GROUP] };

/** Source: Kuma 2.11, compatibility reference 5.3. Reads and writes of other resources need no credential. */
export const DEFAULT_ACCESS: AccessRules = {
  adminResources: ADMINS,
  generateDpToken: ADMINS,
  generateUserToken: ADMINS,
  generateZoneToken: ADMINS,
  viewConfigDump: EVERYONE,
  viewStats: EVERYONE,
  viewClusters: EVERYONE,
  controlPlaneMetadata: EVERYONE,
};

/** The user is known, and may not. Becomes HTTP 403. */
export class AccessDenied extends Error {
  readonly code = 'access-denied';
  constructor(user: User, what: string) {
    super(`user "${userText(user)}" cannot access ${what}`);
    this.name = 'AccessDenied';
  }
}

/** `name/group,group`, as clients see it in refusals. */
export function userText(user: User): string {
  return `${user.name}/${user.groups.join(',')}`;
}

export function isAllowed(rule: AccessRule, user: User): boolean {
  return rule.users.includes(user.name) || user.groups.some((group) => rule.groups.includes(group));
}

/** `what` ends the sentence `user "x" cannot access ...`. Throws `AccessDenied`. */
export function requireAccess(rules: AccessRules, action: Action, user: User, what: string): void {
  if (!isAllowed(rules[action], user)) throw new AccessDenied(user, what);
}
