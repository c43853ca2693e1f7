import { decodeJwt } from 'jose';
import { describe, expect, it } from 'vitest';
import { createMemorySecrets } from '../testing/fakes/memory-secrets.ts';
import { AccessDenied, ADMIN_USER, ANONYMOUS_USER, DEFAULT_ACCESS, requireAccess } from './access.ts';
import { ensureSigningKey } from './signing-keys.ts';
import { createTokens } from './tokens.ts';
import { createUserAuthenticator, ensureAdminToken } from './users.ts';

const secrets = createMemorySecrets();
const tokens = createTokens({ secrets, now: Date.now });
const users = createUserAuthenticator({ tokens, localhostIsAdmin: true });
const stranger = '10.0.0.5';
await ensureSigningKey(secrets, 'user');

describe('user authentication', () => {
  it('takes a direct loopback call for the admin, unless switched off', async () => {
    const request = { peerAddress: '127.0.0.1', headers: { host: 'localhost:5681' } };
    expect(await users.authenticate(request)).toBe(ADMIN_USER);
    const off = createUserAuthenticator({ tokens, localhostIsAdmin: false });
    expect(await off.authenticate(request)).toBe(ANONYMOUS_USER);
  });

  it('takes a bearer token for its user, with the group of the authenticated', async () => {
    const token = await tokens.issueUser({ name: 'jo', groups: ['ops'] }, 60_000);
    const authorization = `Bearer ${token}`;
    expect(await users.authenticate({ peerAddress: stranger, headers: { authorization } })).toEqual({
      name: 'jo',
      groups: ['ops', 'mesh-system:authenticated'],
    });
  });

  it('takes everything else for anonymous, and throws on a bad bearer token', async () => {
    for (const headers of [{}, { authorization: 'Basic abc' }, { authorization: '' }]) {
      expect(await users.authenticate({ peerAddress: stranger, headers })).toBe(ANONYMOUS_USER);
    }
    for (const authorization of ['Bearer x', 'bearer a.b.c', 'Bearer  ']) {
      await expect(users.authenticate({ peerAddress: stranger, headers: { authorization } })).rejects.toThrow(/token/);
    }
  });

  it('makes the admin token once, whoever starts first', async () => {
    const made = await Promise.all([1, 2, 3].map(() => ensureAdminToken(secrets, tokens)));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(await ensureAdminToken(secrets, tokens)).toBe(false);
    const token = Buffer.from((await secrets.readSecret('', 'admin-user-token'))!).toString();
    expect(decodeJwt(token)).toMatchObject({ Name: 'mesh-system:admin', Groups: ['mesh-system:admin'] });
    const user = await users.authenticate({ peerAddress: stranger, headers: { authorization: `Bearer ${token}` } });
    expect(() => requireAccess(DEFAULT_ACCESS, 'adminResources', user, 'x')).not.toThrow();
  });
});

describe('access rules', () => {
  it('keep admin resources and token issuing for admins', () => {
    for (const action of ['adminResources', 'generateDpToken', 'generateUserToken', 'generateZoneToken'] as const) {
      expect(() => requireAccess(DEFAULT_ACCESS, action, ADMIN_USER, 'x')).not.toThrow();
      expect(() => requireAccess(DEFAULT_ACCESS, action, ANONYMOUS_USER, 'x')).toThrow(AccessDenied);
      expect(() =>
        requireAccess(DEFAULT_ACCESS, action, { name: 'jo', groups: ['mesh-system:admin'] }, 'x'),
      ).not.toThrow();
    }
    expect(() => requireAccess(DEFAULT_ACCESS, 'viewStats', ANONYMOUS_USER, 'x')).not.toThrow();
  });

  it('name the user and what was refused', () => {
    const user = { name: 'jo', groups: ['ops', 'mesh-system:authenticated'] };
    expect(() => requireAccess(DEFAULT_ACCESS, 'adminResources', user, 'the resource of type "Secret"')).toThrow(
      'user "jo/ops,mesh-system:authenticated" cannot access the resource of type "Secret"',
    );
  });
});
