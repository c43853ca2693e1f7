/**
 * Makes the key of one proxy, has it certified, and gives both to Envoy. What is in place stays until something better has passed every check.
 *
 * ```
 * identity file ──> leaf in place ──────────────────────────────┐
 * control plane ── request-wanted ──> new key, signed CSR ──>   ├──> secret-server ──> Envoy
 *               <── leaf ──> checked, saved with its key ───────┘        │
 *               <── accepted, refused ───────────────────────────────────┘
 * ```
 */
import type { ControlPlaneMessage, LauncherMessage } from '../../key-stream/protocol.ts';
import type { Logger } from '../../lib/log.ts';
import { messageOf } from '../error.ts';
import { loadIdentity, NOTHING_KEPT, saveIdentity } from './identity-file.ts';
import { type KeyStreamAddress, keepKeyStream } from './key-stream.ts';
import { makeKey, type OwnKey, signRequest } from './own-key.ts';
import { createSecretServer } from './secret-server.ts';
import { leafProblem } from './served-leaf.ts';

/** Plain JSON; see `PreparedDataplane`. */
export interface KeyPlan extends KeyStreamAddress {
  /** Unix socket where Envoy gets its certificate. */
  readonly socket: string;
  /** Where key and certificate are kept for the next launcher; '' for nowhere. */
  readonly file: string;
}

export interface KeyKeeper extends AsyncDisposable {
  envoyStarted(): void;
}

type Wanted = Extract<ControlPlaneMessage, { type: 'request-wanted' }>;
type Issued = Extract<ControlPlaneMessage, { type: 'leaf' }>;

/** Listens for Envoy, and from its first start on talks to the control plane, until it is closed. Rejects when the socket can't be made. */
export async function createKeyKeeper(
  plan: KeyPlan,
  options: { log: Logger; random: () => number; now: () => number },
): Promise<KeyKeeper> {
  const { log, now } = options;
  let { leaf, next } = plan.file === '' ? NOTHING_KEPT : loadIdentity(plan.file, plan.proxy, unusable);
  /** What was said last to the control plane of the newest leaf; it may ask again. */
  let verdict: Extract<LauncherMessage, { type: 'accepted' | 'refused' }> | undefined;
  let tell: (message: LauncherMessage) => void = () => {};

  const server = await createSecretServer({
    socketPath: plan.socket,
    said(about, yes) {
      const { serial } = about;
      if (yes) {
        log.info('Envoy presents a certificate', { proxy: plan.proxy, serial });
        say({ type: 'accepted', serial });
      } else refuse(serial, 'Envoy refused it; its log says why');
    },
  });
  const kept = leaf === undefined ? undefined : leafProblem(leaf, now());
  if (kept !== undefined) {
    log.warn('the certificate of the former run is of no use', { proxy: plan.proxy, reason: kept });
    leaf = undefined;
  }
  if (leaf !== undefined) server.serve(leaf);

  function unusable(reason: string): void {
    log.warn('the key of the former run cannot be used, a new one is made', { file: plan.file, reason });
  }

  function refuse(serial: string, message: string): void {
    log.warn('a certificate was refused, the one before stays', { proxy: plan.proxy, serial, reason: message });
    say({ type: 'refused', serial, message: message.slice(0, 1000) });
  }

  function say(message: NonNullable<typeof verdict>): void {
    verdict = message;
    tell(message);
  }

  /** A key that can't be kept is used all the same: after a restart there is a new one. */
  function save(): void {
    if (plan.file === '') return;
    try {
      saveIdentity(plan.file, plan.proxy, { leaf, next });
    } catch (error) {
      log.warn('the key cannot be kept for the next run', { file: plan.file, reason: messageOf(error) });
    }
  }

  async function request(wanted: Wanted): Promise<LauncherMessage> {
    const { id } = wanted;
    try {
      const key = wanted.key === '' ? await newKey(wanted) : ownKey(wanted.key);
      if (key === undefined) throw new Error('that key is not here any more');
      const signature = signRequest(key, wanted).toString('base64');
      return { type: 'request', id, publicKey: key.publicKey.toString('base64'), signature };
    } catch (error) {
      log.warn('a certificate request could not be made', { proxy: plan.proxy, reason: messageOf(error) });
      return { type: 'request-failed', id, message: messageOf(error).slice(0, 1000) };
    }
  }

  async function newKey({ keyType }: Wanted): Promise<OwnKey> {
    next = await makeKey(keyType);
    save();
    return next;
  }

  function ownKey(id: string): OwnKey | undefined {
    return [next, leaf?.key].find((key) => key?.id === id);
  }

  function take({ key: id, serial, chainPem, anchorPem }: Issued): void {
    if (verdict?.serial === serial) tell(verdict);
    // Else Envoy has been given it and has not answered yet.
    if (verdict?.serial === serial || leaf?.serial === serial) return;
    const key = ownKey(id);
    const issued = key && { key, serial, chainPem, anchorPem };
    const problem = issued === undefined ? 'its key is not here any more' : leafProblem(issued, now());
    if (issued === undefined || problem !== undefined) {
      refuse(serial, problem ?? '');
      return;
    }
    leaf = issued;
    if (next?.id === id) next = undefined;
    save();
    server.serve(issued);
  }

  const stop = new AbortController();
  let stream: Promise<void> | undefined;
  const openStream = () =>
    keepKeyStream({
      address: plan,
      handler: {
        hello: () => ({
          type: 'hello',
          keys: [next, leaf?.key].flatMap((key) => (key === undefined ? [] : [key.id])),
        }),
        opened(send) {
          tell = send;
        },
        message(message, send) {
          if (message.type === 'request-wanted') void request(message).then(send);
          else if (message.type === 'leaf') take(message);
        },
        closed() {
          tell = () => {};
        },
      },
      log,
      random: options.random,
      signal: stop.signal,
    });

  return {
    envoyStarted() {
      server.envoyStarted();
      // Not before: Envoy takes longer to start than this does.
      stream ??= openStream();
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await stream;
      await server.close();
    },
  };
}
