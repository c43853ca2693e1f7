import type { Clock, Timer } from '../../lib/clock.ts';
import { CaError } from '../backend.ts';
import type { VaultAuth } from './auth-conf.ts';
import type { VaultClient } from './client.ts';
import { type Credentials, isLogin, login, loginPath, lookUp, renew, type VaultToken } from './login.ts';
import { type Asked, VaultRefusal } from './problem.ts';

/** The one token of a backend: got when it is needed, renewed at two thirds of its life, replaced when Vault refuses it. */
export interface VaultSession {
  /** `undefined`: an agent in between adds its own. All who wait share one login. Throws `CaError`. */
  token(signal: AbortSignal): Promise<string | undefined>;
  /** Vault refused `token`: another one, by one more login or from where it was given; `undefined`: there is none. Throws `CaError`. */
  another(token: string | undefined, signal: AbortSignal): Promise<string | undefined>;
  /** Ends renewals and what is under way. */
  close(): void;
}

interface Held extends VaultToken {
  /** Of the monotonic clock: when its life was given to it, by the login or the last renewal. */
  readonly since: number;
  /** Of the monotonic clock: when it came from the login. */
  readonly gotAt: number;
}

/** A login takes no longer, in ms. */
const LOGIN_MS = 20_000;
/** A token that is refused so soon is not at fault: its policies are, in ms. */
const FRESH_MS = 10_000;
/** After a renewal that failed on the way, at most, in ms. */
const RETRY_MS = 30_000;

export function createVaultSession(options: {
  client: VaultClient;
  auth: VaultAuth;
  /** The token that was given. Throws `CaError`. */
  readToken: () => Promise<string>;
  /** What a login shows now. Throws `CaError`. */
  readCredentials: () => Promise<Credentials>;
  clock: Clock;
  /** The token ends at that time (epoch ms) and nothing here can change it; `undefined`: that is over. */
  ends: (at: number | undefined) => void;
}): VaultSession {
  const { client, auth, clock } = options;
  const closing = new AbortController();
  let held: Held | undefined;
  let getting: Promise<Held> | undefined;
  let timer: Timer | undefined;

  async function get(): Promise<Held> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(LOGIN_MS)]);
    const asked: Asked = isLogin(auth)
      ? { kind: 'login', method: auth.kind, path: loginPath(auth.mountPath) }
      : { kind: 'read', path: 'auth/token/lookup-self' };
    try {
      const token = isLogin(auth)
        ? await login(client, auth.mountPath, await options.readCredentials(), signal)
        : await given(signal);
      return hold(token);
    } catch (error) {
      throw await client.explain(error, asked, signal);
    }
  }

  async function given(signal: AbortSignal): Promise<VaultToken> {
    const token = await options.readToken();
    try {
      return await lookUp(client, token, signal);
    } catch (error) {
      // It is no good, or may not look at itself: the next call tells.
      if (error instanceof VaultRefusal && error.status === 403) return { token, ttlMs: 0, renewable: false };
      throw error;
    }
  }

  function hold(token: VaultToken): Held {
    const now = clock.monotonic();
    held = { ...token, since: now, gotAt: now };
    options.ends(undefined);
    if (token.ttlMs > 0) at((token.ttlMs * 2) / 3, () => refresh(token.ttlMs));
    return held;
  }

  function at(delayMs: number, run: () => Promise<unknown>): void {
    timer?.cancel();
    if (closing.signal.aborted) return;
    timer = clock.after(delayMs, () => void run());
  }

  /** Two thirds have passed of `ttlMs`. Never rejects. */
  async function refresh(ttlMs: number): Promise<void> {
    const old = held;
    if (old === undefined) return;
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(LOGIN_MS)]);
    try {
      if (old.renewable) {
        const renewed = await renew(client, old.token, signal);
        if (held !== old) return;
        // Near its longest life a token is given less and less.
        if (renewed.ttlMs >= ttlMs / 2) {
          held = { ...renewed, since: clock.monotonic(), gotAt: old.gotAt };
          at((renewed.ttlMs * 2) / 3, () => refresh(renewed.ttlMs));
          return;
        }
      }
      if (isLogin(auth)) await inFlight();
      else options.ends(clock.now() + leftOf(old));
    } catch (error) {
      if (held !== old) return;
      if (error instanceof VaultRefusal && error.status === 403) {
        held = undefined;
        if (!isLogin(auth)) options.ends(clock.now());
        return;
      }
      const left = leftOf(old);
      if (left > 0) at(Math.min(RETRY_MS, Math.max(1000, left / 4)), () => refresh(ttlMs));
      else held = undefined;
    }
  }

  const leftOf = (token: Held) => token.since + token.ttlMs - clock.monotonic();

  function inFlight(): Promise<Held> {
    getting ??= get().finally(() => {
      getting = undefined;
    });
    return getting;
  }

  /** Waits for the login that all share; a caller who gives up does not end it. */
  async function shared(signal: AbortSignal): Promise<string> {
    const { promise: gaveUp, reject } = Promise.withResolvers<never>();
    const abort = () => reject(new CaError('timeout', 'the login to Vault took too long'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    try {
      return (await Promise.race([inFlight(), gaveUp])).token;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  return {
    async token(signal) {
      if (auth.kind === 'agent') return undefined;
      if (held !== undefined && held.ttlMs > 0 && leftOf(held) <= 0) held = undefined;
      return held?.token ?? shared(signal);
    },
    async another(token, signal) {
      if (auth.kind === 'agent') return undefined;
      if (held !== undefined && held.token === token) {
        if (clock.monotonic() - held.gotAt < FRESH_MS) return undefined;
        held = undefined;
        timer?.cancel();
      }
      const next = held?.token ?? (await shared(signal));
      return next === token ? undefined : next;
    },
    close() {
      closing.abort();
      timer?.cancel();
    },
  };
}
