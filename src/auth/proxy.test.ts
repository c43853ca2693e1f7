import { describe, expect, it } from 'vitest';
import { createMemorySecrets } from '../testing/fakes/memory-secrets.ts';
import type { DataplaneClaims, ProxyType, ZoneClaims } from './claims.ts';
import { AuthError } from './errors.ts';
import { createProxyAuthenticator, type ProxyClaim } from './proxy.ts';
import { ensureSigningKey } from './signing-keys.ts';
import { createTokens } from './tokens.ts';

const HOUR = 3_600_000;
let now = Date.now();
const secrets = createMemorySecrets();
const tokens = createTokens({ secrets, now: () => now, cacheMs: 0 });
for (const mesh of ['default', 'other']) await ensureSigningKey(secrets, 'dataplane', mesh);
await ensureSigningKey(secrets, 'zone');
await ensureSigningKey(secrets, 'user');
const proxies = createProxyAuthenticator({ tokens, mode: 'dpToken', zone: 'east' });

type Tags = Record<string, string[]>;
const WEB: Tags = { 'kuma.io/service': ['web'], 'kuma.io/protocol': ['http'], version: ['v1'] };

function proxy(parts: Partial<Omit<ProxyClaim, 'dataplaneTags'>> & { tags?: Tags } = {}): Omit<ProxyClaim, 'token'> {
  const { tags = WEB, ...rest } = parts;
  const dataplaneTags = new Map(Object.entries(tags).map(([tag, values]) => [tag, new Set(values)]));
  return { mesh: 'default', name: 'web-1', proxyType: 'dataplane', dataplaneTags, ...rest };
}

const claims = (parts: Partial<Omit<DataplaneClaims, 'tags'>> & { tags?: Tags }) => {
  const { tags, ...rest } = parts;
  return { mesh: 'default', ...rest, ...(tags ? { tags: new Map(Object.entries(tags)) } : {}) };
};

async function verdict(token: string, who: Omit<ProxyClaim, 'token'>): Promise<string> {
  try {
    await proxies.authenticate({ ...who, token });
    return 'in';
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    return error.code;
  }
}

const S = 'kuma.io/service';
const label = (value: string, decidesIdentity = false) => ({ workload: { label: value, decidesIdentity } });
type Row = [string, ReturnType<typeof claims>, Omit<ProxyClaim, 'token'>, string];

/** S1: what the token says, who the proxy is, and whether it gets in. */
const rows: Row[] = [
  // mesh and name
  ['mesh only', claims({}), proxy(), 'in'],
  ['mesh only, any name', claims({}), proxy({ name: 'db-7' }), 'in'],
  ['name', claims({ name: 'web-1' }), proxy(), 'in'],
  ['another name', claims({ name: 'web-2' }), proxy(), 'not-bound'],
  ['a longer name', claims({ name: 'web-1' }), proxy({ name: 'web-10' }), 'not-bound'],
  ['a shorter name', claims({ name: 'web-10' }), proxy({ name: 'web-1' }), 'not-bound'],
  ['the name in upper case', claims({ name: 'WEB-1' }), proxy(), 'not-bound'],
  ['the name with a space', claims({ name: 'web-1 ' }), proxy(), 'not-bound'],
  ['a proxy without a name', claims({ name: 'web-1' }), proxy({ name: '' }), 'not-bound'],
  ['another mesh, its own key', claims({ mesh: 'other' }), proxy(), 'bad-signature'],
  ['a proxy of another mesh', claims({}), proxy({ mesh: 'other' }), 'bad-signature'],
  ['a mesh without keys', claims({}), proxy({ mesh: 'nowhere' }), 'unknown-key'],
  ['a mesh without a name', claims({}), proxy({ mesh: '' }), 'unknown-key'],
  // type
  ['type dataplane', claims({ type: 'dataplane' }), proxy(), 'in'],
  ['type ingress for a dataplane', claims({ type: 'ingress' }), proxy(), 'not-bound'],
  ['type egress for a dataplane', claims({ type: 'egress' }), proxy(), 'not-bound'],
  ['a dataplane token for an ingress', claims({}), proxy({ proxyType: 'ingress', mesh: '' }), 'bad-signature'],
  [
    'a dataplane token of type egress for an egress',
    claims({ type: 'egress' }),
    proxy({ proxyType: 'egress' }),
    'bad-signature',
  ],
  // tags
  ['its service', claims({ tags: { [S]: ['web'] } }), proxy(), 'in'],
  ['its service among others', claims({ tags: { [S]: ['api', 'web'] } }), proxy(), 'in'],
  ['another service', claims({ tags: { [S]: ['api'] } }), proxy(), 'not-bound'],
  [
    'a service that starts the same',
    claims({ tags: { [S]: ['web'] } }),
    proxy({ tags: { [S]: ['web-admin'] } }),
    'not-bound',
  ],
  ['a service in other case', claims({ tags: { [S]: ['Web'] } }), proxy(), 'not-bound'],
  ['a star is only a star', claims({ tags: { [S]: ['*'] } }), proxy(), 'not-bound'],
  [
    'two services, both allowed',
    claims({ tags: { [S]: ['web', 'api'] } }),
    proxy({ tags: { [S]: ['web', 'api'] } }),
    'in',
  ],
  [
    'two services, one allowed',
    claims({ tags: { [S]: ['web'] } }),
    proxy({ tags: { [S]: ['web', 'api'] } }),
    'not-bound',
  ],
  [
    'two services, the other allowed',
    claims({ tags: { [S]: ['api'] } }),
    proxy({ tags: { [S]: ['web', 'api'] } }),
    'not-bound',
  ],
  [
    'three services, two allowed',
    claims({ tags: { [S]: ['a', 'b'] } }),
    proxy({ tags: { [S]: ['a', 'b', 'c'] } }),
    'not-bound',
  ],
  ['fewer services than allowed', claims({ tags: { [S]: ['a', 'b', 'c'] } }), proxy({ tags: { [S]: ['b'] } }), 'in'],
  ['no values allowed', claims({ tags: { [S]: [] } }), proxy(), 'not-bound'],
  ['a tag the proxy lacks', claims({ tags: { team: ['red'] } }), proxy(), 'not-bound'],
  [
    'a tag the proxy has without values',
    claims({ tags: { team: ['red'] } }),
    proxy({ tags: { team: [] } }),
    'not-bound',
  ],
  ['a proxy without tags', claims({ tags: { [S]: ['web'] } }), proxy({ tags: {} }), 'not-bound'],
  ['a proxy without tags, token without tags', claims({}), proxy({ tags: {} }), 'in'],
  ['two tags', claims({ tags: { [S]: ['web'], version: ['v1'] } }), proxy(), 'in'],
  ['two tags, second wrong', claims({ tags: { [S]: ['web'], version: ['v2'] } }), proxy(), 'not-bound'],
  ['two tags, first wrong', claims({ tags: { [S]: ['api'], version: ['v1'] } }), proxy(), 'not-bound'],
  ['two tags, one missing', claims({ tags: { [S]: ['web'], team: ['red'] } }), proxy(), 'not-bound'],
  ['a proxy with more tags', claims({ tags: { version: ['v1'] } }), proxy(), 'in'],
  ['an empty value is not any value', claims({ tags: { [S]: [''] } }), proxy(), 'not-bound'],
  ['a tag named as an object member', claims({ tags: { constructor: ['x'] } }), proxy(), 'not-bound'],
  ['a tag named __proto__', claims({ tags: { ['__proto__']: ['x'] } }), proxy(), 'not-bound'],
  [
    'the zone tag',
    claims({ tags: { 'kuma.io/zone': ['east'] } }),
    proxy({ tags: { ...WEB, 'kuma.io/zone': ['east'] } }),
    'in',
  ],
  [
    'another zone tag',
    claims({ tags: { 'kuma.io/zone': ['east'] } }),
    proxy({ tags: { ...WEB, 'kuma.io/zone': ['west'] } }),
    'not-bound',
  ],
  // name and tags together
  ['name and tags', claims({ name: 'web-1', tags: { [S]: ['web'] } }), proxy(), 'in'],
  ['name right, tags wrong', claims({ name: 'web-1', tags: { [S]: ['api'] } }), proxy(), 'not-bound'],
  ['name wrong, tags right', claims({ name: 'web-2', tags: { [S]: ['web'] } }), proxy(), 'not-bound'],
  [
    'everything',
    claims({ name: 'web-1', type: 'dataplane', tags: { [S]: ['web'] }, workload: 'web' }),
    proxy(label('web', true)),
    'in',
  ],
  // workload (CVE-2026-18677)
  ['workload', claims({ workload: 'web' }), proxy(label('web')), 'in'],
  ['another workload', claims({ workload: 'web' }), proxy(label('admin')), 'not-bound'],
  ['a workload the proxy lacks', claims({ workload: 'web' }), proxy(), 'not-bound'],
  ['an empty workload label', claims({ workload: 'web' }), proxy(label('')), 'not-bound'],
  ['a label that decides nothing', claims({}), proxy(label('web')), 'in'],
  ['a label that is the identity, free token', claims({}), proxy(label('admin', true)), 'not-bound'],
  [
    'a label that is the identity, token bound to tags',
    claims({ tags: { [S]: ['web'] } }),
    proxy(label('admin', true)),
    'not-bound',
  ],
  [
    'a label that is the identity, token bound to the name',
    claims({ name: 'web-1' }),
    proxy(label('admin', true)),
    'not-bound',
  ],
  ['a label that is the identity, token bound to it', claims({ workload: 'web' }), proxy(label('web', true)), 'in'],
  [
    'a label that is the identity, token bound to another',
    claims({ workload: 'web' }),
    proxy(label('admin', true)),
    'not-bound',
  ],
];

describe('proxy token binding (S1)', () => {
  it.each(rows)('%s', async (_name, token, who, expected) => {
    expect(await verdict(await tokens.issueDataplane(token, HOUR), who)).toBe(expected);
  });

  type ZoneRow = [string, ZoneClaims, ProxyType, string];
  const zoneRows: ZoneRow[] = [
    ['ingress of this zone', { zone: 'east', scope: ['ingress'] }, 'ingress', 'in'],
    ['egress of this zone', { zone: 'east', scope: ['egress'] }, 'egress', 'in'],
    ['both scopes', { zone: 'east', scope: ['ingress', 'egress'] }, 'egress', 'in'],
    ['any zone', { scope: ['ingress'] }, 'ingress', 'in'],
    ['another zone', { zone: 'west', scope: ['ingress'] }, 'ingress', 'not-bound'],
    ['a zone that starts the same', { zone: 'east-2', scope: ['ingress'] }, 'ingress', 'not-bound'],
    ['egress scope for an ingress', { zone: 'east', scope: ['egress'] }, 'ingress', 'not-bound'],
    ['ingress scope for an egress', { zone: 'east', scope: ['ingress'] }, 'egress', 'not-bound'],
    ['no scope', { zone: 'east', scope: [] }, 'ingress', 'not-bound'],
    ['control plane scope', { zone: 'east', scope: ['cp'] }, 'ingress', 'not-bound'],
    ['a zone token for a dataplane', { zone: 'east', scope: ['ingress', 'egress'] }, 'dataplane', 'bad-signature'],
  ];
  it.each(zoneRows)('zone: %s', async (_name, token, proxyType, expected) => {
    expect(await verdict(await tokens.issueZone(token, HOUR), proxy({ proxyType, tags: {} }))).toBe(expected);
  });

  it('refuses no token, a user token, an expired one and a revoked one', async () => {
    expect(await verdict('', proxy())).toBe('missing');
    expect(await verdict(await tokens.issueUser({ name: 'web-1', groups: ['mesh-system:admin'] }, HOUR), proxy())).toBe(
      'bad-signature',
    );
    const token = await tokens.issueDataplane({ mesh: 'default' }, HOUR);
    expect(await verdict(token, proxy())).toBe('in');
    now += HOUR + 1000;
    expect(await verdict(token, proxy())).toBe('expired');
    now -= HOUR + 20_000;
    expect(await verdict(token, proxy())).toBe('not-yet-valid');
    now += 19_000;
    expect(await verdict(token, proxy())).toBe('in');
    secrets.set(
      'default',
      'dataplane-token-revocations-default',
      JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).jti,
    );
    expect(await verdict(token, proxy())).toBe('revoked');
    secrets.remove('default', 'dataplane-token-revocations-default');
  });

  it('lets everyone in when switched off, each kind of proxy by itself', async () => {
    const open = createProxyAuthenticator({ tokens, mode: 'none', zoneMode: 'dpToken' });
    await open.authenticate({ ...proxy(), token: '' });
    await expect(open.authenticate({ ...proxy({ proxyType: 'ingress' }), token: '' })).rejects.toThrow(AuthError);
  });

  it('says which part differs', async () => {
    const token = await tokens.issueDataplane({ mesh: 'default', name: 'web-1' }, HOUR);
    await expect(proxies.authenticate({ ...proxy({ name: 'db' }), token })).rejects.toThrow(
      'proxy name from requestor: db is different than in token: web-1',
    );
    const zone = await tokens.issueZone({ zone: 'west', scope: ['ingress'] }, HOUR);
    await expect(proxies.authenticate({ ...proxy({ proxyType: 'ingress' }), token: zone })).rejects.toThrow(
      'zone from requestor: east is different than in token: west',
    );
  });
});
