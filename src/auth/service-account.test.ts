import { describe, expect, it } from 'vitest';
import { AuthError, AuthUnavailableError } from './errors.ts';
import type { ProxyClaim } from './proxy.ts';
import type { TokenVerdict } from './review-cache.ts';
import { createServiceAccountAuthenticator, type ProxyPod } from './service-account.ts';

const AUDIENCE = 'weft-control-plane';
const HOUR = 3_600_000;
const START = 1_700_000_000_000;

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (payload: unknown) => `${encode({ alg: 'RS256' })}.${encode(payload)}.c2lnbmF0dXJl`;

interface TokenParts {
  readonly aud?: unknown;
  readonly exp?: unknown;
  readonly 'kubernetes.io'?: unknown;
}

/** A projected token; the signature is the API server's business. */
function token(parts: TokenParts = {}): string {
  return jwt({
    aud: [AUDIENCE],
    exp: (START + HOUR) / 1000,
    'kubernetes.io': { namespace: 'shop', pod: { name: 'web-1', uid: 'u1' }, serviceaccount: { name: 'web' } },
    ...parts,
  });
}

const LEGACY = jwt({ sub: 'system:serviceaccount:shop:web', 'kubernetes.io/serviceaccount/namespace': 'shop' });

const GOOD: TokenVerdict = {
  authenticated: true,
  username: 'system:serviceaccount:shop:web',
  audiences: [AUDIENCE],
  pod: { name: 'web-1', uid: 'u1' },
};
const verdict = (parts: Partial<Extract<TokenVerdict, { authenticated: true }>> = {}): TokenVerdict => ({
  ...GOOD,
  ...parts,
});
const { pod: _pod, ...WITHOUT_POD } = GOOD;

const POD: ProxyPod = { mesh: 'default', namespace: 'shop', name: 'web-1', uid: 'u1', serviceAccount: 'web' };

function world(
  parts: {
    answer?: TokenVerdict | Error;
    pod?: ProxyPod | 'unknown' | 'unowned';
    allowUnbound?: boolean;
    maxEntries?: number;
  } = {},
) {
  const state = {
    now: START,
    answer: parts.answer ?? GOOD,
    pod: parts.pod ?? POD,
    reviews: [] as (readonly string[])[],
  };
  const authenticator = createServiceAccountAuthenticator({
    audience: AUDIENCE,
    review: async (_token, audiences) => {
      state.reviews.push(audiences);
      await Promise.resolve();
      if (state.answer instanceof Error) throw state.answer;
      return state.answer;
    },
    podOf: () => state.pod,
    allowUnbound: parts.allowUnbound ?? false,
    now: () => state.now,
    ...(parts.maxEntries === undefined ? {} : { maxEntries: parts.maxEntries }),
  });
  const ask = async (given = token(), claim: Partial<ProxyClaim> = {}): Promise<string> => {
    try {
      await authenticator.authenticate({
        token: given,
        mesh: 'default',
        name: 'web-1.shop',
        proxyType: 'dataplane',
        dataplaneTags: new Map(),
        ...claim,
      });
      return 'in';
    } catch (error) {
      if (error instanceof AuthError) return error.code;
      if (error instanceof AuthUnavailableError) return 'unavailable';
      throw error;
    }
  };
  return { state, ask };
}

type World = Parameters<typeof world>[0];
type Row = [what: string, token: string, world: World, expected: string, reviews: number];

const AWAY = new Error('no answer');

const rows: Row[] = [
  // What the API server says
  ['a good token', token(), {}, 'in', 1],
  ['the API server does not know it', token(), { answer: { authenticated: false, reason: 'x' } }, 'refused', 1],
  ['the API server is away', token(), { answer: AWAY }, 'unavailable', 1],
  ['the API server does not look at audiences', token(), { answer: verdict({ audiences: [] }) }, 'refused', 1],
  ['the API server says another audience', token(), { answer: verdict({ audiences: ['api'] }) }, 'refused', 1],
  ['several audiences, ours among them', token(), { answer: verdict({ audiences: ['api', AUDIENCE] }) }, 'in', 1],
  // Pod
  ['another Pod', token(), { answer: verdict({ pod: { name: 'web-2', uid: 'u2' } }) }, 'not-bound', 1],
  ['another Pod with our uid', token(), { answer: verdict({ pod: { name: 'web-2', uid: 'u1' } }) }, 'not-bound', 1],
  ['a former Pod of our name', token(), { answer: verdict({ pod: { name: 'web-1', uid: 'u0' } }) }, 'not-bound', 1],
  ['a longer name', token(), { answer: verdict({ pod: { name: 'web-10', uid: 'u1' } }) }, 'not-bound', 1],
  ['a shorter name', token(), { answer: verdict({ pod: { name: 'web-', uid: 'u1' } }) }, 'not-bound', 1],
  ['a name in capitals', token(), { answer: verdict({ pod: { name: 'WEB-1', uid: 'u1' } }) }, 'not-bound', 1],
  ['an empty uid', token(), { answer: verdict({ pod: { name: 'web-1', uid: '' } }) }, 'not-bound', 1],
  ['a Pod in the token that the API server does not confirm', token(), { answer: WITHOUT_POD }, 'not-bound', 1],
  // Namespace and ServiceAccount
  ['another namespace', token(), { answer: verdict({ username: 'system:serviceaccount:other:web' }) }, 'not-bound', 1],
  [
    'another ServiceAccount',
    token(),
    { answer: verdict({ username: 'system:serviceaccount:shop:db' }) },
    'not-bound',
    1,
  ],
  [
    'a ServiceAccount that starts the same',
    token(),
    { answer: verdict({ username: 'system:serviceaccount:shop:web2' }) },
    'not-bound',
    1,
  ],
  ['a user', token(), { answer: verdict({ username: 'alice' }) }, 'not-bound', 1],
  [
    'a user called like one',
    token(),
    { answer: verdict({ username: 'x:system:serviceaccount:shop:web' }) },
    'not-bound',
    1,
  ],
  ['a node', token(), { answer: verdict({ username: 'system:node:shop:web' }) }, 'not-bound', 1],
  ['too many parts', token(), { answer: verdict({ username: 'system:serviceaccount:shop:web:x' }) }, 'not-bound', 1],
  ['an empty account', token(), { answer: verdict({ username: 'system:serviceaccount:shop:' }) }, 'not-bound', 1],
  ['no name', token(), { answer: verdict({ username: '' }) }, 'not-bound', 1],
  ['an account that is not known here', token(), { pod: { ...POD, serviceAccount: undefined } }, 'in', 1],
  // Dataplane
  ['a Dataplane of another mesh', token(), { pod: { ...POD, mesh: 'other' } }, 'not-bound', 1],
  ['a Dataplane of another namespace', token(), { pod: { ...POD, namespace: 'other' } }, 'not-bound', 1],
  ['a Dataplane of a newer Pod', token(), { pod: { ...POD, uid: 'u2' } }, 'not-bound', 1],
  ['a Dataplane without a Pod', token(), { pod: 'unowned' }, 'not-bound', 1],
  ['a Dataplane not in view', token(), { pod: 'unknown' }, 'unavailable', 1],
  // What can be refused without asking
  ['no token', '', {}, 'missing', 0],
  ['not a token', 'hello', {}, 'malformed', 0],
  ['two parts', 'a.b', {}, 'malformed', 0],
  ['four parts', `${token()}.x`, {}, 'malformed', 0],
  ['no signature', token().replace(/[^.]*$/, ''), {}, 'malformed', 0],
  ['other characters', `${token()}!`, {}, 'malformed', 0],
  ['spaces', ` ${token()}`, {}, 'malformed', 0],
  ['too long', `${token()}${'x'.repeat(33_000)}`, {}, 'malformed', 0],
  ['a payload that is no JSON', `a.${Buffer.from('{').toString('base64url')}.b`, {}, 'malformed', 0],
  ['a payload that is no object', jwt([1]), {}, 'malformed', 0],
  ['a payload that is null', jwt(null), {}, 'malformed', 0],
  ['an end that is no number', token({ exp: 'tomorrow' }), {}, 'malformed', 0],
  ['expired', token({ exp: START / 1000 - 1 }), {}, 'expired', 0],
  ['expired this moment', token({ exp: START / 1000 }), {}, 'expired', 0],
  ['for the API server', token({ aud: ['https://kubernetes.default.svc'] }), {}, 'invalid-claims', 0],
  ['for nobody', token({ aud: [] }), {}, 'invalid-claims', 0],
  ['for an audience that starts the same', token({ aud: [`${AUDIENCE}-2`] }), {}, 'invalid-claims', 0],
  ['an audience that is a text', token({ aud: AUDIENCE }), {}, 'in', 1],
  ['two audiences', token({ aud: ['api', AUDIENCE] }), {}, 'in', 1],
  ['no end, but a Pod', token({ exp: undefined }), {}, 'in', 1],
  ['a token kept in a Secret', LEGACY, {}, 'invalid-claims', 0],
  ['a token of an account, of no Pod', token({ 'kubernetes.io': { namespace: 'shop' } }), {}, 'invalid-claims', 0],
  ['a Pod without uid', token({ 'kubernetes.io': { pod: { name: 'web-1' } } }), {}, 'invalid-claims', 0],
  ['a Pod that is a text', token({ 'kubernetes.io': { pod: 'web-1' } }), {}, 'invalid-claims', 0],
  ['a token bound to a Node', token({ 'kubernetes.io': { node: { name: 'n', uid: 'u' } } }), {}, 'invalid-claims', 0],
  // With a setting: tokens without Pod
  ['allowed: a token kept in a Secret', LEGACY, { allowUnbound: true, answer: WITHOUT_POD }, 'in', 1],
  [
    'allowed: of another account',
    LEGACY,
    { allowUnbound: true, answer: { ...WITHOUT_POD, username: 'system:serviceaccount:shop:db' } },
    'not-bound',
    1,
  ],
  [
    'allowed: of another namespace',
    LEGACY,
    { allowUnbound: true, answer: { ...WITHOUT_POD, username: 'system:serviceaccount:x:web' } },
    'not-bound',
    1,
  ],
  [
    'allowed: account not known here',
    LEGACY,
    { allowUnbound: true, answer: WITHOUT_POD, pod: { ...POD, serviceAccount: undefined } },
    'not-bound',
    1,
  ],
  [
    'allowed: the API server does not know it',
    LEGACY,
    { allowUnbound: true, answer: { authenticated: false, reason: '' } },
    'refused',
    1,
  ],
  ['allowed: the API server is away', LEGACY, { allowUnbound: true, answer: AWAY }, 'unavailable', 1],
  [
    'allowed: a Pod’s token is still the Pod’s',
    token(),
    { allowUnbound: true, answer: verdict({ pod: { name: 'web-2', uid: 'u2' } }) },
    'not-bound',
    1,
  ],
  [
    'allowed: a Pod’s token for another audience is still refused',
    token({ aud: ['api'] }),
    { allowUnbound: true },
    'invalid-claims',
    0,
  ],
];

describe('ServiceAccount authentication', () => {
  it.each(rows)('%s', async (_what, given, options, expected, reviews) => {
    const { ask, state } = world(options);
    expect(await ask(given)).toBe(expected);
    expect(state.reviews).toHaveLength(reviews);
  });

  it('does not serve zone proxies', async () => {
    const { ask } = world();
    expect(await ask(token(), { proxyType: 'ingress' })).toBe('not-bound');
    expect(await ask(token(), { proxyType: 'egress' })).toBe('not-bound');
  });

  it('asks for its own audience, and for the API server’s own only when the token has no Pod', async () => {
    const { ask, state } = world({ allowUnbound: true });
    await ask(token());
    await ask(LEGACY);
    expect(state.reviews).toEqual([[AUDIENCE], []]);
  });

  it('never shows the token', async () => {
    const options = { audience: AUDIENCE, podOf: () => POD, allowUnbound: false, now: () => START };
    for (const answer of [AWAY, { authenticated: false, reason: 'no' } as const]) {
      const authenticator = createServiceAccountAuthenticator({
        ...options,
        review: async () => {
          if (answer instanceof Error) throw answer;
          return answer;
        },
      });
      const claim = {
        token: token(),
        mesh: 'default',
        name: 'web-1.shop',
        proxyType: 'dataplane' as const,
        dataplaneTags: new Map(),
      };
      const error = await authenticator.authenticate(claim).catch((caught: unknown) => caught);
      for (const part of token().split('.')) expect(String(error)).not.toContain(part);
    }
  });
});

describe('verdicts are kept', () => {
  it('for a minute, then asked for again', async () => {
    const { ask, state } = world();
    await ask();
    state.now += 59_999;
    expect(await ask()).toBe('in');
    expect(state.reviews).toHaveLength(1);
    state.now += 1;
    expect(await ask()).toBe('in');
    expect(state.reviews).toHaveLength(2);
  });

  it('but whose Pod the Dataplane is, is looked at each time', async () => {
    const { ask, state } = world();
    await ask();
    state.pod = { ...POD, uid: 'u2' };
    expect(await ask()).toBe('not-bound');
    state.pod = { ...POD, mesh: 'other' };
    expect(await ask()).toBe('not-bound');
    expect(state.reviews).toHaveLength(1);
  });

  it('a deleted Pod is out within a minute', async () => {
    const { ask, state } = world();
    await ask();
    state.answer = { authenticated: false, reason: 'pod is gone' };
    state.now += 60_000;
    expect(await ask()).toBe('refused');
    // What was good once is of no use any more.
    state.answer = AWAY;
    state.now += 10_000;
    expect(await ask()).toBe('unavailable');
  });

  it('a refusal for five seconds', async () => {
    const { ask, state } = world({ answer: { authenticated: false, reason: 'no' } });
    await ask();
    await ask();
    expect(state.reviews).toHaveLength(1);
    state.answer = GOOD;
    state.now += 5000;
    expect(await ask()).toBe('in');
  });

  it('API server away: who was vouched for comes back until the token expires, nobody else', async () => {
    const { ask, state } = world();
    await ask();
    state.answer = AWAY;
    state.now = START + HOUR - 1000;
    expect(await ask()).toBe('in');
    expect(await ask(token({ exp: (START + 2 * HOUR) / 1000 }))).toBe('unavailable');
    state.now = START + HOUR;
    expect(await ask()).toBe('expired');
  });

  it('API server away: a token without end is not vouched for beyond its minute', async () => {
    const { ask, state } = world();
    const endless = token({ exp: undefined });
    await ask(endless);
    state.answer = AWAY;
    state.now += 61_000;
    expect(await ask(endless)).toBe('unavailable');
  });

  it('not across a step of the clock', async () => {
    const { ask, state } = world();
    await ask();
    state.now -= 10_000;
    await ask();
    expect(state.reviews).toHaveLength(2);
  });

  it('a thousand proxies with one token are one review', async () => {
    const { ask, state } = world();
    const answers = await Promise.all(Array.from({ length: 1000 }, () => ask()));
    expect(new Set(answers)).toEqual(new Set(['in']));
    expect(state.reviews).toHaveLength(1);
  });

  it('strangers do not push out who is known', async () => {
    const { ask, state } = world({ maxEntries: 2 });
    await ask();
    state.answer = { authenticated: false, reason: 'no' };
    for (let n = 0; n < 2000; n += 1) await ask(token({ 'kubernetes.io': { pod: { name: `x${n}`, uid: 'x' } } }));
    state.reviews.length = 0;
    expect(await ask()).toBe('in');
    expect(state.reviews).toHaveLength(0);
  });
});
