import { createHmac, createPublicKey, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { createMemorySecrets, type MemorySecrets } from '../testing/fakes/memory-secrets.ts';
import { AuthError } from './errors.ts';
import { MAX_TOKEN_BYTES } from './jws.ts';
import { ensureSigningKey, latestSerial } from './signing-keys.ts';
import { createTokens, type Tokens } from './tokens.ts';

const NOW = Date.UTC(2026, 10, 24, 12);
const HOUR = 3_600_000;
const one = generateKeyPairSync('rsa', { modulusLength: 2048 });
const two = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = (key: KeyObject) => key.export({ type: 'pkcs1', format: 'pem' }).toString();

const b64 = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const CLAIMS = { Name: 'web-1', Mesh: 'default', Tags: {}, Type: '', jti: 'id-1', exp: NOW / 1000 + 60 };

/** A compact JWS whose header and payload are exactly these, signed with RS256 whatever the header says. */
function forge(header: unknown, payload: unknown = CLAIMS, key: KeyObject = one.privateKey): string {
  const input = `${b64(header)}.${b64(payload)}`;
  return `${input}.${createSign('RSA-SHA256').update(input).sign(key).toString('base64url')}`;
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return 'accepted';
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    expect(error.message).not.toMatch(/eyJ/);
    return error.code;
  }
}

let clock = NOW;
let secrets: MemorySecrets;
let tokens: Tokens;
beforeAll(() => {
  secrets = createMemorySecrets();
  secrets.set('default', 'dataplane-token-signing-key-default-1', pem(one.privateKey));
  secrets.set('other', 'dataplane-token-signing-key-other-1', pem(two.privateKey));
  secrets.set('', 'zone-token-signing-key-1', pem(one.privateKey));
  secrets.set('', 'user-token-signing-key-1', pem(one.privateKey));
  tokens = createTokens({ secrets, now: () => clock });
});

describe('issuing', () => {
  it('writes the claims, kid and times that Kuma clients know', async () => {
    const token = await tokens.issueDataplane(
      { mesh: 'default', name: 'web-1', tags: new Map([['kuma.io/service', ['web', 'api']]]), type: 'dataplane' },
      HOUR,
    );
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'RS256', kid: '1', typ: 'JWT' });
    const nowS = NOW / 1000;
    expect(decodeJwt(token)).toEqual({
      Name: 'web-1',
      Mesh: 'default',
      Tags: { 'kuma.io/service': ['api', 'web'] },
      Type: 'dataplane',
      iat: nowS - 5,
      nbf: nowS - 5,
      exp: nowS + 3600,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(decodeJwt(await tokens.issueZone({ zone: 'east', scope: ['egress'] }, HOUR))).toMatchObject({
      Zone: 'east',
      Scope: ['egress'],
    });
    expect(decodeJwt(await tokens.issueUser({ name: 'jo', groups: ['ops'] }, HOUR))).toMatchObject({
      Name: 'jo',
      Groups: ['ops'],
    });
  });

  it('gives back what it wrote', async () => {
    const token = await tokens.issueDataplane({ mesh: 'default', name: 'web-1', workload: 'web' }, HOUR);
    expect(await tokens.validateDataplane(token, 'default')).toEqual({
      name: 'web-1',
      mesh: 'default',
      workload: 'web',
    });
    const user = await tokens.issueUser({ name: 'jo', groups: ['ops'] }, HOUR);
    expect(await tokens.validateUser(user)).toEqual({ name: 'jo', groups: ['ops'] });
    const zone = await tokens.issueZone({ scope: ['ingress'] }, HOUR);
    expect(await tokens.validateZone(zone)).toEqual({ scope: ['ingress'] });
  });

  it('signs with the highest number and still accepts the older key', async () => {
    const own = createMemorySecrets();
    own.set('', 'user-token-signing-key-9', pem(one.privateKey));
    const service = createTokens({ secrets: own, now: () => clock, cacheMs: 0 });
    const old = await service.issueUser({ name: 'a', groups: [] }, HOUR);
    own.set('', 'user-token-signing-key-10', pem(two.privateKey));
    own.set('', 'user-token-signing-key-x', 'not a key');
    const fresh = await service.issueUser({ name: 'b', groups: [] }, HOUR);
    expect(decodeProtectedHeader(fresh).kid).toBe('10');
    expect(await service.validateUser(old)).toEqual({ name: 'a', groups: [] });
    expect(await service.validateUser(fresh)).toEqual({ name: 'b', groups: [] });
    own.remove('', 'user-token-signing-key-9');
    expect(await codeOf(service.validateUser(old))).toBe('unknown-key');
  });

  it('says which key is missing, and refuses when issuing is off or the key is no key', async () => {
    const own = createMemorySecrets();
    const service = createTokens({ secrets: own, now: () => clock });
    await expect(service.issueDataplane({ mesh: 'm' }, HOUR)).rejects.toThrow(
      'there is no signing key with KID 1. Secret of name "dataplane-token-signing-key-m-1" in mesh "m" is not found.',
    );
    await expect(service.issueUser({ name: 'a', groups: [] }, HOUR)).rejects.toThrow(
      'GlobalSecret of name "user-token-signing-key-1" is not found',
    );
    own.set('', 'user-token-signing-key-1', 'rubbish');
    expect(await codeOf(service.issueUser({ name: 'a', groups: [] }, HOUR))).toBe('invalid-key');
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
    own.set('', 'user-token-signing-key-1', pem(weak));
    expect(await codeOf(service.issueUser({ name: 'a', groups: [] }, HOUR))).toBe('invalid-key');
    const off = createTokens({
      secrets,
      now: () => clock,
      settings: { user: { enableIssuer: false, useSecrets: true, publicKeys: [] } },
    });
    await expect(off.issueUser({ name: 'a', groups: [] }, HOUR)).rejects.toThrow(
      'issuing tokens using the control plane is disabled.',
    );
  });
});

describe('signing keys', () => {
  it('are made once, however many replicas ask', async () => {
    const own = createMemorySecrets();
    const made = await Promise.all([1, 2, 3].map(() => ensureSigningKey(own, 'dataplane', 'm')));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(await ensureSigningKey(own, 'dataplane', 'm')).toBe(false);
    const value = await own.readSecret('m', 'dataplane-token-signing-key-m-1');
    expect(Buffer.from(value!).toString()).toMatch(/^-----BEGIN RSA PRIVATE KEY-----/);
  });

  it('are not made beside a key of a higher number', async () => {
    const own = createMemorySecrets();
    own.set('', 'zone-token-signing-key-7', 'x');
    expect(await ensureSigningKey(own, 'zone')).toBe(false);
  });

  it('keep meshes with a common name start apart', () => {
    const names = [
      'dataplane-token-signing-key-a-1',
      'dataplane-token-signing-key-a-b-9',
      'dataplane-token-signing-key-a-',
    ];
    expect(latestSerial(names, 'dataplane-token-signing-key-a')).toBe('1');
    expect(latestSerial(names, 'dataplane-token-signing-key-z')).toBeUndefined();
  });

  it('may be public keys handed down by a global control plane, or bare PKCS#1', async () => {
    const own = createMemorySecrets();
    own.set('', 'zone-token-signing-public-key-1', one.publicKey.export({ type: 'pkcs1', format: 'pem' }).toString());
    own.set('', 'zone-token-signing-key-2', two.privateKey.export({ type: 'pkcs1', format: 'der' }));
    const service = createTokens({ secrets: own, now: () => clock });
    const payload = { Zone: '', Scope: ['egress'], jti: 'z', exp: NOW / 1000 + 60 };
    expect(await service.validateZone(forge({ alg: 'RS256', kid: '1' }, payload))).toEqual({ scope: ['egress'] });
    expect(await service.validateZone(forge({ alg: 'RS256', kid: '2' }, payload, two.privateKey))).toBeTruthy();
  });

  it('may be given by configuration', async () => {
    const key = one.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const offline = { enableIssuer: false, useSecrets: false, publicKeys: [{ kid: '5', key, mesh: 'default' }] };
    const service = createTokens({
      secrets: createMemorySecrets(),
      now: () => clock,
      settings: { dataplane: offline },
    });
    const token = forge({ alg: 'RS256', kid: '5' });
    expect(await service.validateDataplane(token, 'default')).toEqual({ name: 'web-1', mesh: 'default' });
    expect(await codeOf(service.validateDataplane(token, 'other'))).toBe('unknown-key');
    const bad = { ...offline, publicKeys: [{ kid: '5', key: 'nonsense', mesh: 'default' }] };
    expect(() => createTokens({ secrets, now: () => clock, settings: { dataplane: bad } })).toThrow(AuthError);
    const path = { ...offline, publicKeys: [{ kid: '../5', key, mesh: 'default' }] };
    expect(() => createTokens({ secrets, now: () => clock, settings: { dataplane: path } })).toThrow(/digits/);
  });
});

describe('revocation', () => {
  it('refuses listed ids as soon as the change is known', async () => {
    const own = createMemorySecrets();
    own.set('', 'user-token-signing-key-1', pem(one.privateKey));
    const service = createTokens({ secrets: own, now: () => clock });
    const token = await service.issueUser({ name: 'jo', groups: [] }, HOUR);
    expect(await codeOf(service.validateUser(token))).toBe('accepted');
    own.set('', 'user-token-revocations', `someone, ${decodeJwt(token).jti}\n`);
    service.secretChanged('', 'user-token-revocations');
    expect(await codeOf(service.validateUser(token))).toBe('revoked');
  });

  it('is noticed without notice after the cache time', async () => {
    const own = createMemorySecrets();
    own.set('', 'user-token-signing-key-1', pem(one.privateKey));
    own.set('', 'user-token-revocations', '');
    const service = createTokens({ secrets: own, now: () => clock });
    const token = await service.issueUser({ name: 'jo', groups: [] }, HOUR);
    expect(await codeOf(service.validateUser(token))).toBe('accepted');
    own.set('', 'user-token-revocations', decodeJwt(token).jti!);
    clock = NOW + 5001;
    expect(await codeOf(service.validateUser(token))).toBe('revoked');
    clock = NOW;
  });
});

describe('the key cache', () => {
  it('reads once for a thousand proxies that come back at once', async () => {
    const own = createMemorySecrets();
    own.set('default', 'dataplane-token-signing-key-default-1', pem(one.privateKey));
    own.set('default', 'dataplane-token-revocations-default', 'x');
    const service = createTokens({ secrets: own, now: () => clock });
    const token = forge({ alg: 'RS256', kid: '1' });
    await Promise.all(Array.from({ length: 1000 }, () => service.validateDataplane(token, 'default')));
    expect(own.reads()).toBe(2);
  });

  it('does not keep a failed read', async () => {
    const own = createMemorySecrets();
    own.set('default', 'dataplane-token-signing-key-default-1', pem(one.privateKey));
    const service = createTokens({ secrets: own, now: () => clock });
    own.fail(new Error('store is down'));
    await expect(service.validateDataplane(forge({ alg: 'RS256', kid: '1' }), 'default')).rejects.toThrow(
      'store is down',
    );
    own.fail(undefined);
    expect(await codeOf(service.validateDataplane(forge({ alg: 'RS256', kid: '1' }), 'default'))).toBe('accepted');
  });
});

describe('attacks on the token (S2)', () => {
  const good = { alg: 'RS256', kid: '1', typ: 'JWT' };
  const publicPem = createPublicKey(one.privateKey).export({ type: 'spki', format: 'pem' }).toString();
  const hs256 = (secret: string | Buffer) => {
    const input = `${b64({ alg: 'HS256', kid: '1' })}.${b64(CLAIMS)}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const jwk = { ...two.publicKey.export({ format: 'jwk' }), kid: '1', alg: 'RS256' };
  const signed = forge(good);
  const [head, body, signature] = signed.split('.') as [string, string, string];
  const cases: [string, string, string][] = [
    ['the honest token', signed, 'accepted'],
    ['no typ', forge({ alg: 'RS256', kid: '1' }), 'accepted'],
    ['empty', '', 'missing'],
    ['one part', 'abc', 'malformed'],
    ['two parts', `${head}.${body}`, 'malformed'],
    ['five parts (JWE)', `${signed}.a.b`, 'malformed'],
    ['padding', `${head}=.${body}.${signature}`, 'malformed'],
    ['a space', `${head}. ${body}.${signature}`, 'malformed'],
    ['a line end', `${signed}\n`, 'malformed'],
    ['a NUL', `${signed}\0`, 'malformed'],
    ['a header that is no JSON', `${b64('{')}.${body}.${signature}`, 'malformed'],
    ['a header that is a list', `${b64('[]')}.${body}.${signature}`, 'malformed'],
    ['a header that is null', `${b64('null')}.${body}.${signature}`, 'malformed'],
    ['a header that is a number', `${b64('1')}.${body}.${signature}`, 'malformed'],
    ['a 2 KB header', forge({ ...good, pad: 'x'.repeat(2000) }), 'malformed'],
    ['alg none without signature', `${b64({ alg: 'none', kid: '1' })}.${body}.`, 'malformed'],
    ['alg none with signature', forge({ alg: 'none', kid: '1' }), 'unsupported'],
    ['alg None', forge({ alg: 'None', kid: '1' }), 'unsupported'],
    ['alg missing', forge({ kid: '1' }), 'unsupported'],
    ['alg a list', forge({ alg: ['RS256'], kid: '1' }), 'unsupported'],
    ['alg a number', forge({ alg: 256, kid: '1' }), 'unsupported'],
    ['alg rs256', forge({ alg: 'rs256', kid: '1' }), 'unsupported'],
    ['alg RS512', forge({ alg: 'RS512', kid: '1' }), 'unsupported'],
    ['alg PS256', forge({ alg: 'PS256', kid: '1' }), 'unsupported'],
    ['alg ES256', forge({ alg: 'ES256', kid: '1' }), 'unsupported'],
    ['HS256 with the public key as PEM', hs256(publicPem), 'unsupported'],
    [
      'HS256 with the public key as DER',
      hs256(createPublicKey(publicPem).export({ type: 'spki', format: 'der' })),
      'unsupported',
    ],
    ['HS256 with the signing key secret', hs256(pem(one.privateKey)), 'unsupported'],
    ['HS256 with nothing', hs256(''), 'unsupported'],
    ['duplicate alg, last one wins and is none', forge('{"alg":"RS256","kid":"1","alg":"none"}'), 'unsupported'],
    ['kid missing', forge({ alg: 'RS256' }), 'invalid-kid'],
    ['kid a number', forge({ alg: 'RS256', kid: 1 }), 'invalid-kid'],
    ['kid a huge number', forge('{"alg":"RS256","kid":1e999}'), 'invalid-kid'],
    ['kid a list', forge({ alg: 'RS256', kid: ['1'] }), 'invalid-kid'],
    ['kid an object', forge({ alg: 'RS256', kid: { a: 1 } }), 'invalid-kid'],
    ['kid null', forge({ alg: 'RS256', kid: null }), 'invalid-kid'],
    ['kid true', forge({ alg: 'RS256', kid: true }), 'invalid-kid'],
    ['kid empty', forge({ alg: 'RS256', kid: '' }), 'invalid-kid'],
    ['kid negative', forge({ alg: 'RS256', kid: '-1' }), 'invalid-kid'],
    ['kid a path', forge({ alg: 'RS256', kid: '../../1' }), 'invalid-kid'],
    ['kid /dev/null', forge({ alg: 'RS256', kid: '/dev/null' }), 'invalid-kid'],
    ['kid SQL', forge({ alg: 'RS256', kid: "1' OR '1'='1" }), 'invalid-kid'],
    ['kid with a line end', forge({ alg: 'RS256', kid: '1\n' }), 'invalid-kid'],
    ['kid in other digits', forge({ alg: 'RS256', kid: '١' }), 'invalid-kid'],
    ['kid too long', forge({ alg: 'RS256', kid: '1'.repeat(400) }), 'invalid-kid'],
    ['kid unknown', forge({ alg: 'RS256', kid: '2' }), 'unknown-key'],
    ['kid with a leading zero', forge({ alg: 'RS256', kid: '01' }), 'unknown-key'],
    ['jku', forge({ ...good, jku: 'http://127.0.0.1/keys' }, CLAIMS, two.privateKey), 'unsupported'],
    ['x5u', forge({ ...good, x5u: 'http://127.0.0.1/cert' }, CLAIMS, two.privateKey), 'unsupported'],
    ['jwk', forge({ ...good, jwk }, CLAIMS, two.privateKey), 'unsupported'],
    ['x5c', forge({ ...good, x5c: ['MII'] }), 'unsupported'],
    ['crit', forge({ ...good, crit: ['b64'], b64: false }), 'unsupported'],
    ['zip', forge({ ...good, zip: 'DEF' }), 'unsupported'],
    ['__proto__ in the header', forge('{"__proto__":{"alg":"RS256","kid":"1"}}'), 'unsupported'],
    ['another key', forge(good, CLAIMS, two.privateKey), 'bad-signature'],
    ['a changed claim', `${head}.${b64({ ...CLAIMS, Name: 'admin' })}.${signature}`, 'bad-signature'],
    ['no signature', `${head}.${body}.`, 'malformed'],
    ['a cut signature', signed.slice(0, -10), 'bad-signature'],
    ['a zero signature', `${head}.${body}.${Buffer.alloc(256).toString('base64url')}`, 'bad-signature'],
    ['a payload that is no JSON', forge(good, 'not json'), 'malformed'],
    ['a payload that is a list', forge(good, []), 'malformed'],
    ['no jti', forge(good, { ...CLAIMS, jti: undefined }), 'invalid-claims'],
    ['jti a number', forge(good, { ...CLAIMS, jti: 5 }), 'invalid-claims'],
    ['no exp', forge(good, { ...CLAIMS, exp: undefined }), 'invalid-claims'],
    ['exp a string', forge(good, { ...CLAIMS, exp: '9999999999' }), 'invalid-claims'],
    ['exp in the past', forge(good, { ...CLAIMS, exp: NOW / 1000 - 1 }), 'expired'],
    ['exp now', forge(good, { ...CLAIMS, exp: NOW / 1000 }), 'expired'],
    ['exp far away', forge(good, { ...CLAIMS, exp: 1e15 }), 'accepted'],
    ['nbf in the future', forge(good, { ...CLAIMS, nbf: NOW / 1000 + 10 }), 'not-yet-valid'],
    ['nbf a string', forge(good, { ...CLAIMS, nbf: '0' }), 'invalid-claims'],
    ['Name a number', forge(good, { ...CLAIMS, Name: 1 }), 'invalid-claims'],
    ['Name an object', forge(good, { ...CLAIMS, Name: { toString: 1 } }), 'invalid-claims'],
    ['name in another casing', forge(good, { ...CLAIMS, Name: undefined, name: 'web-1' }), 'invalid-claims'],
    ['MESH in another casing', forge(good, { ...CLAIMS, MESH: 'x' }), 'invalid-claims'],
    ['Tags a list', forge(good, { ...CLAIMS, Tags: [] }), 'invalid-claims'],
    ['Tags of strings', forge(good, { ...CLAIMS, Tags: { a: 'b' } }), 'invalid-claims'],
    ['Tags of numbers', forge(good, { ...CLAIMS, Tags: { a: [1] } }), 'invalid-claims'],
    ['Tags null', forge(good, { ...CLAIMS, Tags: null }), 'accepted'],
    ['Type unknown', forge(good, { ...CLAIMS, Type: 'gateway' }), 'invalid-claims'],
    ['nothing but exp and jti', forge(good, { exp: CLAIMS.exp, jti: 'x' }), 'accepted'],
  ];
  it.each(cases)('%s', async (_name, token, expected) => {
    expect(await codeOf(tokens.validateDataplane(token, 'default'))).toBe(expected);
  });

  it('refuses a token of another mesh, of another kind, and one for a mesh with a hostile name', async () => {
    expect(await codeOf(tokens.validateDataplane(signed, 'other'))).toBe('bad-signature');
    expect(await codeOf(tokens.validateDataplane(signed, 'nowhere'))).toBe('unknown-key');
    expect(await codeOf(tokens.validateDataplane(signed, 'default/../default'))).toBe('unknown-key');
    const own = createMemorySecrets();
    own.set('', 'user-token-signing-key-1', pem(two.privateKey));
    expect(await codeOf(createTokens({ secrets: own, now: () => clock }).validateUser(signed))).toBe('bad-signature');
  });

  it('refuses ten megabytes without decoding them', async () => {
    const big = `${head}.${'A'.repeat(10_000_000)}.${signature}`;
    const started = performance.now();
    for (let i = 0; i < 100; i++) expect(await codeOf(tokens.validateDataplane(big, 'default'))).toBe('malformed');
    expect(performance.now() - started).toBeLessThan(500);
    expect(await codeOf(tokens.validateDataplane('a'.repeat(MAX_TOKEN_BYTES + 1), 'default'))).toBe('malformed');
  });

  it('answers any text with a typed refusal', async () => {
    const part = fc.oneof(fc.string(), fc.base64String(), fc.json().map(b64), fc.constantFrom(head, body, signature));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
        ),
        async (text) => {
          const code = await codeOf(tokens.validateDataplane(text, 'default'));
          expect(code === 'accepted').toBe(text === signed);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('answers any signed payload with claims or a typed refusal', async () => {
    const payload = fc.record(
      {
        Name: fc.anything(),
        Mesh: fc.anything(),
        Tags: fc.anything(),
        Type: fc.anything(),
        exp: fc.anything(),
        jti: fc.anything(),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(payload, async (claims) => {
        let token: string;
        try {
          token = forge(good, JSON.stringify({ ...CLAIMS, ...claims }));
        } catch {
          return;
        }
        await codeOf(tokens.validateDataplane(token, 'default'));
      }),
      { numRuns: 150 },
    );
  });
});
