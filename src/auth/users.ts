import { ADMIN_USER, ANONYMOUS_USER, AUTHENTICATED_GROUP, type User } from './access.ts';
import { isDirectLoopback, type RequestOrigin } from './direct-loopback.ts';
import type { SecretCreator } from './secrets.ts';
import type { Tokens } from './tokens.ts';

export interface UserAuthenticator {
  /** Who sent this HTTP request. Throws `AuthError` when a bearer token was sent and is not good. */
  authenticate(request: RequestOrigin): Promise<User>;
}

const BEARER = /^bearer +(.*)$/is;

/**
 * In this order: a direct loopback request is the admin (while `localhostIsAdmin`), a bearer token is its user, anything else is anonymous.
 * Source: compatibility reference 5.3.
 */
export function createUserAuthenticator(options: {
  readonly tokens: Pick<Tokens, 'validateUser'>;
  readonly localhostIsAdmin: boolean;
}): UserAuthenticator {
  return {
    async authenticate(request) {
      if (options.localhostIsAdmin && isDirectLoopback(request)) return ADMIN_USER;
      const { authorization } = request.headers;
      const token = typeof authorization === 'string' ? BEARER.exec(authorization)?.[1]?.trim() : undefined;
      if (token === undefined) return ANONYMOUS_USER;
      const { name, groups } = await options.tokens.validateUser(token);
      // The unauthenticated group can't be carried by a token: it would say nothing true.
      return { name, groups: [...groups.filter((group) => group !== AUTHENTICATED_GROUP), AUTHENTICATED_GROUP] };
    },
  };
}

/** GlobalSecret with the token made at first start. */
const ADMIN_TOKEN_SECRET = 'admin-user-token';
const TEN_YEARS_MS = 10 * 365 * 24 * 3_600_000;

/**
 * Puts a ten-year admin token in `admin-user-token` when there is none. The user signing key must be there already.
 * Safe to call again and from several replicas. Resolves to true when this call made it.
 */
export async function ensureAdminToken(secrets: SecretCreator, tokens: Pick<Tokens, 'issueUser'>): Promise<boolean> {
  if ((await secrets.readSecret('', ADMIN_TOKEN_SECRET)) !== undefined) return false;
  const token = await tokens.issueUser({ name: ADMIN_USER.name, groups: ['mesh-system:admin'] }, TEN_YEARS_MS);
  return secrets.createSecret('', ADMIN_TOKEN_SECRET, Buffer.from(token));
}
