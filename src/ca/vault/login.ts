import { CaError } from '../backend.ts';
import type { VaultAuth } from './auth-conf.ts';
import type { VaultClient } from './client.ts';

/** A token as Vault gave it. */
export interface VaultToken {
  readonly token: string;
  /** Ms it is good for from now; 0: it does not end, or that is not known. */
  readonly ttlMs: number;
  readonly renewable: boolean;
}

/** What a login shows, loaded by the owner each time. */
export type Credentials =
  | { readonly kind: 'tls' }
  | { readonly kind: 'kubernetes'; readonly role: string; readonly jwt: string }
  | { readonly kind: 'appRole'; readonly roleId: string; readonly secretId: string }
  /** The body as `auth/aws` takes it. */
  | { readonly kind: 'aws'; readonly body: Readonly<Record<string, string>> };

/** Logs in. Sources: Vault API, "Auth methods": cert, kubernetes, approle, aws. Throws as `client.call`. */
export async function login(
  client: VaultClient,
  mountPath: string,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<VaultToken> {
  const path = loginPath(mountPath);
  const { auth } = await client.call({
    method: 'POST',
    path,
    body: bodyOf(credentials),
    secrets: secretsOf(credentials),
    signal,
  });
  return tokenOf(auth);
}

export function loginPath(mountPath: string): string {
  return `auth/${mountPath}/login`;
}

/** Makes it last longer. Throws as `client.call`. */
export async function renew(client: VaultClient, token: string, signal: AbortSignal): Promise<VaultToken> {
  const { auth } = await client.call({ method: 'POST', path: 'auth/token/renew-self', body: {}, token, signal });
  return { ...tokenOf(auth), token };
}

/** How long a token that was given lasts. Throws as `client.call`. */
export async function lookUp(client: VaultClient, token: string, signal: AbortSignal): Promise<VaultToken> {
  const { data } = await client.call({ method: 'GET', path: 'auth/token/lookup-self', token, signal });
  return { token, ttlMs: milliseconds(data['ttl']), renewable: data['renewable'] === true };
}

/** Methods of `auth` that can log in again. */
export function isLogin(auth: VaultAuth): auth is Exclude<VaultAuth, { kind: 'token' } | { kind: 'agent' }> {
  return auth.kind !== 'token' && auth.kind !== 'agent';
}

function bodyOf(credentials: Credentials): object {
  switch (credentials.kind) {
    case 'tls':
      return {};
    case 'kubernetes':
      return { role: credentials.role, jwt: credentials.jwt };
    case 'appRole':
      return { role_id: credentials.roleId, secret_id: credentials.secretId };
    case 'aws':
      return credentials.body;
    default:
      return credentials satisfies never;
  }
}

function secretsOf(credentials: Credentials): readonly string[] {
  switch (credentials.kind) {
    case 'tls':
      return [];
    case 'kubernetes':
      return [credentials.jwt];
    case 'appRole':
      return [credentials.secretId];
    case 'aws':
      // Signed requests and identity documents; the role is named in errors.
      return Object.entries(credentials.body).flatMap(([field, value]) => (field === 'role' ? [] : [value]));
    default:
      return credentials satisfies never;
  }
}

function tokenOf(auth: Readonly<Record<string, unknown>>): VaultToken {
  const token = auth['client_token'];
  if (typeof token !== 'string' || !/^[!-~]{1,4096}$/.test(token)) {
    throw new CaError('invalid-answer', 'Vault answered a login without a token');
  }
  return { token, ttlMs: milliseconds(auth['lease_duration']), renewable: auth['renewable'] === true };
}

function milliseconds(seconds: unknown): number {
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
