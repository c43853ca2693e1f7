/**
 * Launchers that make their proxy's key: each belongs to the xDS stream of the same proxy, with the same token, on the same control plane. So the stream's
 * session alone decides when a leaf goes out, whoever carries it to Envoy (docs/decisions/0024-keys-beside-the-proxy.md).
 */
import { timingSafeEqual } from 'node:crypto';
import type { IdentityService, ProxyKey } from '../identity/identity.ts';
import { type KeyHolder, ProxyKeyError, type SignedRequest, type WantedCsr } from '../identity/proxy-key.ts';
import type { LauncherMessage } from '../key-stream/protocol.ts';
import { type KeyStream, KeyStreamRefusal, type KeyStreamSource } from '../key-stream/server.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { XdsError, type XdsErrorCode } from '../xds-server/xds.ts';
import type { ProxySession } from './session.ts';

export interface LauncherKeys extends KeyStreamSource {
  /** The proxy has an xDS stream here, maybe in place of a former one. */
  sessionOpened(session: ProxySession): void;
  /** It has none any more: its launcher is sent away, to come where the next one is. */
  sessionClosed(key: ProxyKey): void;
}

export interface LauncherKeysOptions {
  readonly identity: IdentityService;
  readonly session: (key: ProxyKey) => ProxySession | undefined;
  /** Whether the proxy of this session may be here still. Throws `XdsError`. */
  readonly authenticate: (session: ProxySession) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A launcher comes before its Envoy has connected; with another control plane behind the same address it has come to the wrong one. Milliseconds. */
const SESSION_WAIT_MS = 1000;
/** Nobody knows yet who those are that wait. */
const MOST_WAITING = 2000;
/** A launcher that makes no CSR in this time is gone. Milliseconds. */
const CSR_TIMEOUT_MS = 10_000;

interface Connected {
  readonly stream: KeyStream;
  readonly holder: Holder;
}

export function createLauncherKeys(options: LauncherKeysOptions): LauncherKeys {
  const { identity, clock, log } = options;
  const connected = new Map<string, Connected>();
  const waiting = new Map<string, Set<() => void>>();
  let waitingCount = 0;
  const idOf = ({ mesh, name }: ProxyKey) => `${mesh}.${name}`;

  async function sessionOf(id: string, key: ProxyKey, signal: AbortSignal): Promise<ProxySession> {
    if (options.session(key) === undefined) {
      if (waitingCount >= MOST_WAITING) throw new KeyStreamRefusal(503, 'too many launchers wait for their proxy');
      waitingCount += 1;
      await new Promise<void>((resolve) => {
        const timer = clock.after(SESSION_WAIT_MS, done);
        const ofProxy = waiting.get(id) ?? new Set();
        waiting.set(id, ofProxy.add(done));
        signal.addEventListener('abort', done);
        function done(): void {
          timer.cancel();
          signal.removeEventListener('abort', done);
          ofProxy.delete(done);
          if (ofProxy.size === 0) waiting.delete(id);
          resolve();
        }
      });
      waitingCount -= 1;
    }
    const session = options.session(key);
    if (session === undefined) throw new KeyStreamRefusal(404, `proxy ${id} has no xDS stream with this control plane`);
    return session;
  }

  function attach(session: ProxySession, { stream, holder }: Connected): void {
    session.setLauncher((leaf) => {
      const { keyId: key = '', serial, chainPem, anchorPem = '' } = leaf;
      // Its key was lost: the next leaf is under way.
      if (!holder.holds(key)) return;
      holder.delivered(key);
      stream.send({ type: 'leaf', key, serial, chainPem, anchorPem });
    });
  }

  return {
    sessionOpened(session) {
      const id = idOf(session.key);
      const launcher = connected.get(id);
      if (launcher !== undefined) attach(session, launcher);
      for (const done of waiting.get(id) ?? []) done();
    },
    sessionClosed(key) {
      connected.get(idOf(key))?.stream.end('the xDS stream of its proxy ended');
    },
    async open(stream, signal) {
      const key = parseProxy(stream.proxy);
      const id = stream.proxy;
      const session = await sessionOf(id, key, signal);
      if (!sameText(session.stream.authorization, stream.authorization))
        throw new KeyStreamRefusal(401, `the token is not that of the xDS stream of proxy ${id}`);
      if (session.metadata.identityFrom !== 'launcher')
        throw new KeyStreamRefusal(409, `the control plane makes the key of proxy ${id}`);
      await options.authenticate(session).catch((error: unknown) => {
        throw error instanceof XdsError ? new KeyStreamRefusal(STATUS[error.code], error.message) : error;
      });
      const holder = createHolder(stream, clock);
      const self: Connected = { stream, holder };
      const isCurrent = () => connected.get(id) === self;
      return {
        message(message) {
          if (message.type === 'hello') {
            const former = connected.get(id);
            connected.set(id, self);
            if (former !== self) former?.stream.end('another launcher of the same proxy came');
            holder.has(message.keys);
            log.debug('launcher connected', { ...key, peer: stream.peer });
            identity.setKeyHolder(key, holder);
            const current = options.session(key);
            if (current === undefined) stream.end('the xDS stream of its proxy ended');
            else attach(current, self);
          } else if (!isCurrent()) stream.end('it did not say hello');
          else if (message.type === 'accepted') options.session(key)?.launcherSaid(message.serial, undefined);
          else if (message.type === 'refused') options.session(key)?.launcherSaid(message.serial, message.message);
          else holder.answered(message);
        },
        closed() {
          holder.left();
          if (!isCurrent()) return;
          connected.delete(id);
          options.session(key)?.setLauncher(undefined);
          identity.setKeyHolder(key, undefined);
        },
      };
    },
  };
}

interface Holder extends KeyHolder {
  /** All keys that the launcher has as it comes. */
  has(keyIds: readonly string[]): void;
  /** It was given the leaf of this key. */
  delivered(keyId: string): void;
  answered(message: LauncherMessage): void;
  left(): void;
}

function createHolder(stream: KeyStream, clock: Clock): Holder {
  let brought = new Set<string>();
  /** A launcher keeps the key of its leaf and the last one it made. */
  let ofLeaf = '';
  let lastMade = '';
  let asked = 0;
  const open = new Map<number, { resolve: (signed: SignedRequest) => void; reject: (error: ProxyKeyError) => void }>();
  const away = () => new ProxyKeyError('away', 'its launcher left before it made a certificate request');

  function request({ keyId, keyType, uriSans, names }: WantedCsr): Promise<SignedRequest> {
    asked += 1;
    const id = asked;
    return new Promise<SignedRequest>((resolve, reject) => {
      const late = clock.after(CSR_TIMEOUT_MS, () => {
        reject(new ProxyKeyError('refused', `its launcher made no certificate request in ${CSR_TIMEOUT_MS / 1000} s`));
        stream.end('it does not answer');
      });
      open.set(id, { resolve, reject });
      const { commonName = '', dnsNames = [] } = names;
      stream.send({ type: 'request-wanted', id, key: keyId, keyType, uriSans, dnsNames, commonName });
      const settled = () => {
        late.cancel();
        open.delete(id);
      };
      open.set(id, {
        resolve(signed) {
          settled();
          resolve(signed);
        },
        reject(error) {
          settled();
          reject(error);
        },
      });
    });
  }

  function answer(id: number, publicKey: string, signature: string): void {
    open.get(id)?.resolve({ publicKey: Buffer.from(publicKey, 'base64'), signature: Buffer.from(signature, 'base64') });
  }

  return {
    holds: (keyId) => keyId === ofLeaf || keyId === lastMade || brought.has(keyId),
    made(keyId) {
      lastMade = keyId;
    },
    delivered(keyId) {
      ofLeaf = keyId;
    },
    request,
    has(keyIds) {
      brought = new Set(keyIds);
    },
    answered(message) {
      if (message.type === 'request') answer(message.id, message.publicKey, message.signature);
      else if (message.type === 'request-failed')
        open.get(message.id)?.reject(new ProxyKeyError('refused', `its launcher made no request: ${message.message}`));
    },
    left() {
      for (const { reject } of open.values()) reject(away());
    },
  };
}

const STATUS: Readonly<Record<XdsErrorCode, KeyStreamRefusal['status']>> = {
  unauthenticated: 401,
  'permission-denied': 403,
  'invalid-argument': 400,
  'not-found': 404,
  'resource-exhausted': 503,
  unavailable: 503,
  internal: 503,
};

/** Throws `KeyStreamRefusal`. */
function parseProxy(text: string): ProxyKey {
  const dot = text.indexOf('.');
  if (dot <= 0 || dot === text.length - 1) throw new KeyStreamRefusal(400, 'name the proxy as <mesh>.<name>');
  return { mesh: text.slice(0, dot), name: text.slice(dot + 1) };
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
