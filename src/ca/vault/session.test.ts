import { describe, expect, it } from 'vitest';
import { createDrivenClock } from '../../testing/fakes/driven-clock.ts';
import type { VaultAuth } from './auth-conf.ts';
import type { VaultClient } from './client.ts';
import { VaultRefusal } from './problem.ts';
import { createVaultSession } from './session.ts';

const APP_ROLE: VaultAuth = { kind: 'appRole', roleId: {}, secretId: {}, mountPath: 'approle' };
const TOKEN: VaultAuth = { kind: 'token', token: {} };
const signal = new AbortController().signal;

/** A Vault that gives out tokens: `ttl` and `renewals` (seconds each renewal brings) as in its answers. */
function createWorld(auth: VaultAuth, options: { ttl?: number; renewable?: boolean; renewals?: number[] } = {}) {
  const { ttl = 900, renewable = true, renewals = [] } = options;
  const clock = createDrivenClock();
  const ends: (number | undefined)[] = [];
  const calls: string[] = [];
  let logins = 0;
  const state = { refuse: undefined as number | undefined, given: 's.given' };
  const client: VaultClient = {
    async call({ path }) {
      calls.push(path);
      if (state.refuse !== undefined) throw new VaultRefusal(state.refuse, ['no']);
      const none = { data: {}, auth: {}, warnings: [] };
      if (path === 'auth/token/lookup-self') return { ...none, data: { ttl, renewable } };
      if (path === 'auth/token/renew-self') {
        return { ...none, auth: { client_token: 'x', lease_duration: renewals.shift() ?? ttl, renewable } };
      }
      logins += 1;
      return { ...none, auth: { client_token: `s.${logins}`, lease_duration: ttl, renewable } };
    },
    explain: async (error) => error as never,
    close: async () => undefined,
  };
  const session = createVaultSession({
    client,
    auth,
    readToken: async () => state.given,
    readCredentials: async () => ({ kind: 'appRole', roleId: 'a', secretId: 'b' }),
    clock,
    ends: (at) => ends.push(at),
  });
  return { session, clock, calls, ends, state, renewals: () => calls.filter((path) => path.includes('renew')).length };
}

describe('the token of a vault backend', () => {
  it('is got by one login for all who wait, and kept', async () => {
    const { session, calls } = createWorld(APP_ROLE);
    const tokens = await Promise.all(Array.from({ length: 10 }, () => session.token(signal)));
    expect(new Set([...tokens, await session.token(signal)])).toEqual(new Set(['s.1']));
    expect(calls).toEqual(['auth/approle/login']);
  });

  it('is renewed at two thirds of each life', async () => {
    const { session, clock, renewals } = createWorld(APP_ROLE, { ttl: 900 });
    await session.token(signal);
    await clock.advance(599_000);
    expect(renewals()).toBe(0);
    await clock.advance(2000);
    expect(renewals()).toBe(1);
    await clock.advance(600_000);
    expect(renewals()).toBe(2);
    expect(await session.token(signal)).toBe('s.1');
  });

  it('is replaced by a login when renewing brings little any more, or is not possible', async () => {
    const short = createWorld(APP_ROLE, { ttl: 900, renewals: [900, 100] });
    await short.session.token(signal);
    await short.clock.advance(601_000);
    await short.clock.advance(601_000);
    expect(await short.session.token(signal)).toBe('s.2');
    const never = createWorld(APP_ROLE, { renewable: false });
    await never.session.token(signal);
    await never.clock.advance(601_000);
    expect(await never.session.token(signal)).toBe('s.2');
    expect(never.renewals()).toBe(0);
  });

  it('that was given and ends is told of, once it cannot be renewed', async () => {
    const { session, clock, ends } = createWorld(TOKEN, { ttl: 900, renewable: false });
    expect(await session.token(signal)).toBe('s.given');
    await clock.advance(601_000);
    expect(ends).toHaveLength(2);
    expect(ends[1]).toBeGreaterThan(clock.now() + 295_000);
    expect(ends[1]).toBeLessThan(clock.now() + 301_000);
  });

  it('lives on when Vault cannot be reached for a renewal, which is tried again', async () => {
    const { session, clock, state, renewals } = createWorld(APP_ROLE);
    await session.token(signal);
    state.refuse = 503;
    await clock.advance(601_000);
    expect(await session.token(signal)).toBe('s.1');
    state.refuse = undefined;
    await clock.advance(31_000);
    expect(renewals()).toBe(2);
    expect(await session.token(signal)).toBe('s.1');
  });

  it('that is refused is replaced once, also for many at a time; a fresh one is not', async () => {
    const { session, clock, calls } = createWorld(APP_ROLE);
    expect(await session.token(signal)).toBe('s.1');
    expect(await session.another('s.1', signal)).toBeUndefined();
    await clock.advance(11_000);
    const next = await Promise.all(Array.from({ length: 5 }, () => session.another('s.1', signal)));
    expect(new Set(next)).toEqual(new Set(['s.2']));
    expect(calls).toHaveLength(2);
  });

  it('that was given is read again when it is refused: an agent may have written another', async () => {
    const { session, clock, state } = createWorld(TOKEN);
    await session.token(signal);
    await clock.advance(11_000);
    expect(await session.another('s.given', signal)).toBeUndefined();
    state.given = 's.next';
    await clock.advance(11_000);
    expect(await session.another('s.given', signal)).toBe('s.next');
  });

  it('is none of ours when an agent adds its own', async () => {
    const { session, calls } = createWorld({ kind: 'agent' });
    expect(await session.token(signal)).toBeUndefined();
    expect(calls).toEqual([]);
  });

  it('is waited for only as long as the caller wants; the login goes on', async () => {
    const { session, calls } = createWorld(APP_ROLE);
    await expect(session.token(AbortSignal.abort())).rejects.toMatchObject({ code: 'timeout' });
    expect(await session.token(signal)).toBe('s.1');
    expect(calls).toHaveLength(1);
  });
});
