import { beforeEach, describe, expect, it } from 'vitest';
import type { HeldLeaf, IdentityService } from '../identity/identity.ts';
import type { KeyHolder } from '../identity/proxy-key.ts';
import type { ControlPlaneMessage } from '../key-stream/protocol.ts';
import { KeyStreamRefusal } from '../key-stream/server.ts';
import { silentLogger } from '../lib/log.ts';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { PLAIN_METADATA } from '../testing/sidecar-cases.ts';
import { XdsError, type XdsStream } from '../xds-server/xds.ts';
import { createLauncherKeys, type LauncherKeys } from './launcher-keys.ts';
import type { ProxySession } from './session.ts';

const WEB = { mesh: 'default', name: 'web-1' };
const KEY = 'a'.repeat(64);
const WANTED = { keyId: '', keyType: 'ec-p256' as const, uriSans: ['spiffe://default/web'], names: {} };

let clock: DrivenClock;
let session: ProxySession | undefined;
let holder: KeyHolder | undefined;
let deliver: ((leaf: HeldLeaf) => void) | undefined;
let said: string[];
let allowed: boolean;
let keys: LauncherKeys;

beforeEach(() => {
  clock = createDrivenClock();
  session = undefined;
  holder = undefined;
  deliver = undefined;
  said = [];
  allowed = true;
  keys = createLauncherKeys({
    identity: {
      setKeyHolder: (_proxy: unknown, one: KeyHolder | undefined) => (holder = one),
    } as unknown as IdentityService,
    session: () => session,
    authenticate: async () => {
      if (!allowed) throw new XdsError('permission-denied', 'the token is for another proxy');
    },
    clock,
    log: { ...silentLogger },
  });
});

function xdsStream(identityFrom: 'ads' | 'launcher' = 'launcher'): ProxySession {
  return {
    key: WEB,
    metadata: { ...PLAIN_METADATA, identityFrom },
    stream: { authorization: 'TOKEN' } as XdsStream,
    services: () => new Set(),
    refresh: () => undefined,
    identityChanged: () => undefined,
    setLauncher: (one) => (deliver = one),
    launcherSaid: (serial, problem) => void said.push(`${serial}: ${problem ?? 'accepted'}`),
    onAck: () => undefined,
    onNack: () => undefined,
  };
}

/** A launcher that has opened a stream, without its hello. */
async function open(token = 'TOKEN', proxy = 'default.web-1') {
  const sent: ControlPlaneMessage[] = [];
  const ends: string[] = [];
  const gone = new AbortController();
  const stream = {
    proxy,
    authorization: token,
    peer: '192.0.2.1:1234',
    send: (message: ControlPlaneMessage) => void sent.push(message),
    end(reason: string) {
      ends.push(reason);
      handler.closed();
    },
  };
  const handler = await keys.open(stream, gone.signal);
  return { sent, ends, handler };
}

async function connect(ofKeys: readonly string[] = []) {
  const launcher = await open();
  launcher.handler.message({ type: 'hello', keys: ofKeys });
  return launcher;
}

const statusOf = (opening: Promise<unknown>) =>
  opening.then(
    () => 101,
    (error: unknown) => (error instanceof KeyStreamRefusal ? error.status : error),
  );

describe('createLauncherKeys', () => {
  it('waits for the xDS stream of the proxy, and sends away who waits in vain', async () => {
    const early = statusOf(open());
    session = xdsStream();
    keys.sessionOpened(session);
    expect(await early).toBe(101);
    session = undefined;
    const inVain = statusOf(open());
    await clock.advance(5000);
    expect(await inVain).toBe(404);
    expect(clock.timers).toBe(0);
  });

  it.each<[string, number, () => Promise<unknown>]>([
    ['another token', 401, () => open('OTHER')],
    ['no token', 401, () => open('')],
    ['no name', 400, () => open('TOKEN', 'web-1')],
  ])('refuses %s', async (_what, status, opening) => {
    session = xdsStream();
    expect(await statusOf(opening())).toBe(status);
  });

  it('refuses who may not be that proxy, and a proxy whose key is made here', async () => {
    session = xdsStream();
    allowed = false;
    expect(await statusOf(open())).toBe(403);
    allowed = true;
    session = xdsStream('ads');
    expect(await statusOf(open())).toBe(409);
  });

  it('takes part with its hello, hands on leaves and what Envoy says to them', async () => {
    session = xdsStream();
    const { sent, handler } = await open();
    expect(holder).toBeUndefined();
    handler.message({ type: 'hello', keys: [KEY] });
    expect(holder?.holds(KEY)).toBe(true);
    expect(holder?.holds('b'.repeat(64))).toBe(false);
    deliver!({ keyId: KEY, serial: '0a', chainPem: 'CHAIN', anchorPem: 'ANCHOR' } as HeldLeaf);
    expect(sent).toEqual([{ type: 'leaf', key: KEY, serial: '0a', chainPem: 'CHAIN', anchorPem: 'ANCHOR' }]);
    handler.message({ type: 'accepted', serial: '0a' });
    handler.message({ type: 'refused', serial: '0b', message: 'no' });
    expect(said).toEqual(['0a: accepted', '0b: no']);
    handler.closed();
    expect([holder, deliver]).toEqual([undefined, undefined]);
  });

  it('gives no leaf to a launcher without its key, and knows which keys it has', async () => {
    session = xdsStream();
    const { sent } = await connect();
    const leafOf = (keyId: string) => ({ keyId, serial: '0a', chainPem: '', anchorPem: '' }) as HeldLeaf;
    deliver!(leafOf(KEY));
    expect(sent).toEqual([]);
    expect(holder!.holds(KEY)).toBe(false);
    const [first, second, third] = ['b', 'c', 'd'].map((letter) => letter.repeat(64)) as [string, string, string];
    holder!.made(first);
    deliver!(leafOf(first));
    expect(sent).toHaveLength(1);
    holder!.made(second);
    holder!.made(third);
    expect([first, second, third].map((key) => holder!.holds(key))).toEqual([true, false, true]);
  });

  it('asks for a CSR and gives the answer to whom it belongs', async () => {
    session = xdsStream();
    const { sent, handler } = await connect();
    const one = holder!.request(WANTED);
    const two = holder!.request({ ...WANTED, keyId: KEY, names: { commonName: 'web' } });
    expect(sent).toMatchObject([
      { type: 'request-wanted', id: 1, key: '', commonName: '' },
      { type: 'request-wanted', id: 2, key: KEY, commonName: 'web' },
    ]);
    handler.message({ type: 'request', id: 7, publicKey: '', signature: '' });
    handler.message({ type: 'request-failed', id: 2, message: 'no such key' });
    handler.message({ type: 'request', id: 1, publicKey: 'S0VZ', signature: 'U0lH' });
    expect(await one).toEqual({ publicKey: Buffer.from('KEY'), signature: Buffer.from('SIG') });
    await expect(two).rejects.toMatchObject({ code: 'refused', message: /no such key/ });
    expect(clock.timers).toBe(0);
  });

  it('ends a launcher that does not answer, and tells one that left from one that said nonsense', async () => {
    session = xdsStream();
    const silent = await connect();
    const unanswered = holder!.request(WANTED);
    const refused = expect(unanswered).rejects.toMatchObject({ code: 'refused' });
    await clock.advance(10_000);
    await refused;
    expect(silent.ends).toHaveLength(1);
    const left = await connect();
    const away = expect(holder!.request(WANTED)).rejects.toMatchObject({ code: 'away' });
    left.handler.closed();
    await away;
  });

  it('has one launcher for a proxy, the newest, and none before its hello', async () => {
    session = xdsStream();
    const first = await connect();
    const second = await connect([KEY]);
    expect(first.ends).toHaveLength(1);
    expect(holder?.holds(KEY)).toBe(true);
    first.handler.message({ type: 'accepted', serial: '0a' });
    expect(said).toEqual([]);
    const third = await open();
    third.handler.message({ type: 'accepted', serial: '0a' });
    expect(third.ends).toHaveLength(1);
    expect(second.ends).toEqual([]);
  });

  it('goes with the xDS stream: over to a new one of the proxy, away with the last', async () => {
    session = xdsStream();
    const launcher = await connect();
    deliver = undefined;
    session = xdsStream();
    keys.sessionOpened(session);
    expect(deliver).toBeDefined();
    keys.sessionClosed(WEB);
    expect(launcher.ends).toHaveLength(1);
    expect(holder).toBeUndefined();
  });
});
