/**
 * One ADS stream: one loop that owns its state. Requests, a new target and the end come in through the methods below, each only notes
 * what it says and asks for a flush; `flush` decides what goes out.
 */
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Admission } from './admission.ts';
import type { XdsMetrics } from './metrics.ts';
import { gateOf, PUSH_ORDER, type PushState } from './order.ts';
import { decodeNode, decodeNodeId, type Refusal } from './request.ts';
import type { Flushable, FlushQueue, Watchdog, Watched } from './schedule.ts';
import type { Outgoing, TypeSync } from './sync.ts';
import {
  type NodeInfo,
  type ResourceSet,
  TYPE,
  type TypedResources,
  type TypeUrl,
  XdsError,
  type XdsSource,
  type XdsStream,
  type XdsStreamHandler,
} from './xds.ts';

/** The way out of a stream; made by the server around a gRPC call. */
export interface StreamWriter {
  /** Takes a message; `done` once it has left this process. False: no more until `done`. */
  write(bytes: Buffer, done: () => void): boolean;
  /** No more requests until `resume`. */
  pause(): void;
  resume(): void;
  /** Sends the status after what was written before; no error means OK. */
  end(error: XdsError | undefined): void;
  /** Drops the connection without a word. */
  destroy(): void;
}

/** What differs between the two protocol variants. */
export interface Variant<Request extends CommonRequest> {
  readonly protocol: 'delta' | 'sotw';
  /** Throws `XdsError` `invalid-argument`. */
  decode(bytes: Uint8Array): Request;
  createSync(typeUrl: TypeUrl): TypeSync<Request>;
}

/** What every request has. */
export interface CommonRequest {
  readonly typeUrl: string;
  readonly node: Uint8Array | undefined;
  readonly error: Refusal | undefined;
}

export interface StreamDeps {
  readonly source: XdsSource;
  readonly admission: Admission;
  readonly flushes: FlushQueue;
  readonly watchdog: Watchdog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: XdsMetrics;
  readonly limits: StreamLimits;
}

export interface StreamLimits {
  /** From the call to the first request. */
  readonly firstRequestTimeoutMs: number;
  /** A client that takes nothing of what was written for so long is dropped. */
  readonly stalledWriteTimeoutMs: number;
  /** How long listeners and routes wait for the endpoints of new clusters. */
  readonly endpointsWaitMs: number;
}

export interface StreamInfo {
  readonly id: string;
  readonly authorization: string;
  readonly peer: string;
}

/** The inward side of a stream, driven by the server. */
export interface StreamLoop extends Flushable, Watched {
  /** One request, as bytes. */
  message(bytes: Uint8Array): void;
  /** The client closed its side, went away or the connection broke. */
  closed(): void;
  /** Ends it from this side. */
  end(error: XdsError): void;
}

type State =
  /** Nothing came yet. */
  | { readonly kind: 'waiting' }
  /** The source is asked; requests stay in the call. */
  | { readonly kind: 'opening' }
  | { readonly kind: 'open'; readonly handler: XdsStreamHandler }
  | { readonly kind: 'ended' };

const NOTHING: TypedResources = new Map();
const KNOWN_TYPES: ReadonlySet<string> = new Set(Object.values(TYPE));

export function createStreamLoop<Request extends CommonRequest>(
  variant: Variant<Request>,
  info: StreamInfo,
  writer: StreamWriter,
  deps: StreamDeps,
): StreamLoop {
  const { clock, limits, metrics } = deps;
  const abort = new AbortController();
  const syncs = new Map<TypeUrl, TypeSync<Request>>();
  let state: State = { kind: 'waiting' };
  let nodeId = '';
  let target: ResourceSet | undefined;
  let lastNonce = 0;
  /** Responses given to the writer that have not left yet. */
  let unsent = 0;
  let writable = true;
  /** When the writer last made progress; meaningful while `unsent > 0`. */
  let progressAt = 0;
  const startedAt = clock.monotonic();
  /** New clusters whose endpoints the client has not accepted yet, since `awaitedAt`. */
  const awaited = new Set<string>();
  let awaitedAt = 0;

  metrics.streamOpened();
  deps.watchdog.add({ tick });

  const pushState: PushState = {
    settled: (typeUrl) => syncs.get(typeUrl)?.settled(targetOf(typeUrl)) ?? true,
    pending: (typeUrl) => syncs.get(typeUrl)?.pending ?? false,
    get endpointsAwaited() {
      return awaited.size > 0;
    },
  };

  function targetOf(typeUrl: TypeUrl): TypedResources {
    return target?.get(typeUrl) ?? NOTHING;
  }

  function message(bytes: Uint8Array): void {
    if (state.kind === 'ended') return;
    try {
      const request = variant.decode(bytes);
      if (state.kind === 'waiting') open(request);
      else if (state.kind === 'open') apply(request, state.handler);
      else throw new XdsError('internal', 'request while the stream is being opened');
    } catch (error) {
      fail(error);
    }
  }

  function open(first: Request): void {
    if (!first.node) throw new XdsError('invalid-argument', 'open stream: the first request has no node');
    const node = decodeNode(first.node);
    if (node.id === '') throw new XdsError('invalid-argument', 'open stream: node.id is empty');
    nodeId = node.id;
    state = { kind: 'opening' };
    writer.pause();
    void ask(node).then(
      (handler) => {
        // The stream may have ended meanwhile; then the handler must still hear of it.
        if (state.kind !== 'opening') {
          handler.onClose();
          return;
        }
        state = { kind: 'open', handler };
        try {
          apply(first, handler);
        } catch (error) {
          fail(error);
        }
        writer.resume();
      },
      (error: unknown) => fail(error),
    );
  }

  async function ask(node: NodeInfo): Promise<XdsStreamHandler> {
    const leave = await deps.admission.enter(abort.signal);
    try {
      const stream: XdsStream = { ...info, protocol: variant.protocol, node, setResources, end: fail };
      return await deps.source.open(stream, abort.signal);
    } finally {
      leave();
    }
  }

  function apply(request: Request, handler: XdsStreamHandler): void {
    if (request.node && decodeNodeId(request.node) !== nodeId) {
      throw new XdsError('permission-denied', 'read request: the node changed in the middle of the stream');
    }
    if (!isKnown(request.typeUrl)) return;
    const typeUrl = request.typeUrl;
    let sync = syncs.get(typeUrl);
    if (!sync) {
      sync = variant.createSync(typeUrl);
      syncs.set(typeUrl, sync);
    }
    const answer = sync.request(request);
    switch (answer.kind) {
      case 'none':
        break;
      case 'resumed':
        handler.onAck({ typeUrl, nonce: '', accepted: sync.held });
        break;
      case 'ack':
        metrics.answered(typeUrl, 'ACK');
        handler.onAck({ typeUrl, nonce: answer.nonce, accepted: sync.held });
        break;
      case 'nack':
        metrics.answered(typeUrl, 'NACK');
        handler.onNack({ typeUrl, nonce: answer.nonce, names: answer.names, message: answer.message });
        break;
      default:
        answer satisfies never;
    }
    wake();
  }

  function setResources(set: ResourceSet): void {
    if (state.kind === 'ended' || set === target) return;
    target = set;
    wake();
  }

  function wake(): void {
    if (target) deps.flushes.add(loop);
  }

  function flush(): void {
    if (state.kind !== 'open' || !target) return;
    const { handler } = state;
    try {
      settleAwaited();
      // Twice: what was kept back for something that turned out to need nothing goes in the second round.
      for (let round = 0; round < 2; round++) {
        for (const typeUrl of PUSH_ORDER) {
          if (!writable) return;
          const sync = syncs.get(typeUrl);
          if (!sync || sync.pending) continue;
          const outgoing = sync.next(targetOf(typeUrl), gateOf(typeUrl, pushState), nextNonce);
          if (!outgoing) continue;
          send(outgoing);
          handler.onSent?.(outgoing.typeUrl, outgoing.nonce);
          if (isEnded()) return;
        }
      }
    } catch (error) {
      fail(error);
    }
  }

  function send(outgoing: Outgoing): void {
    if (outgoing.typeUrl === TYPE.cluster) followClusters(outgoing);
    if (unsent === 0) {
      progressAt = clock.monotonic();
      deps.watchdog.add(loop);
    }
    unsent++;
    metrics.sent(outgoing.typeUrl, outgoing.bytes.length);
    writable = writer.write(outgoing.bytes, () => {
      unsent--;
      progressAt = clock.monotonic();
      if (!writable && unsent === 0) {
        writable = true;
        wake();
      }
    });
  }

  /**
   * A changed cluster warms and waits for its endpoints even if they did not change: they are sent again. A new one is named by
   * listeners and routes only after its endpoints are there. Source: Envoy xDS protocol, "Eventual consistency considerations".
   */
  function followClusters({ added, changed }: Outgoing): void {
    const endpoints = syncs.get(TYPE.endpoint);
    if (!endpoints) return;
    for (const name of changed) endpoints.resend(name);
    for (const name of added) if (targetOf(TYPE.endpoint).has(name)) awaited.add(name);
    if (awaited.size > 0) {
      awaitedAt = clock.monotonic();
      deps.watchdog.add(loop);
    }
  }

  function settleAwaited(): void {
    const endpoints = syncs.get(TYPE.endpoint)!;
    for (const name of awaited) {
      const needed = targetOf(TYPE.cluster).has(name) && targetOf(TYPE.endpoint).has(name);
      if (!needed || endpoints.held.has(name)) awaited.delete(name);
    }
  }

  function nextNonce(): string {
    lastNonce++;
    return String(lastNonce);
  }

  function tick(now: number): boolean {
    switch (state.kind) {
      case 'ended':
        return unsent > 0 && checkStalled(now);
      case 'waiting':
        if (now - startedAt > limits.firstRequestTimeoutMs)
          fail(new XdsError('invalid-argument', 'open stream: no request came'));
        return true;
      case 'opening':
        return true;
      case 'open':
        if (awaited.size > 0 && now - awaitedAt > limits.endpointsWaitMs) {
          awaited.clear();
          wake();
        }
        return (unsent > 0 && checkStalled(now)) || awaited.size > 0;
      default:
        return state satisfies never;
    }
  }

  function checkStalled(now: number): boolean {
    if (now - progressAt <= limits.stalledWriteTimeoutMs) return true;
    deps.log.info('dropping a proxy that does not read', { stream: info.id, peer: info.peer, node: nodeId });
    metrics.rejected('stalled');
    finish();
    writer.destroy();
    return false;
  }

  /** Ends the stream from our side. Unknown errors go out as "internal error", with the cause only in the log. */
  function fail(error: unknown): void {
    if (state.kind === 'ended') return;
    const known = error instanceof XdsError ? error : new XdsError('internal', 'internal error', { cause: error });
    const fields = {
      stream: info.id,
      peer: info.peer,
      node: nodeId,
      code: known.code,
      error: error instanceof Error ? error : String(error),
    };
    if (known === error) deps.log.info('stream ended by the control plane', fields);
    else deps.log.error('stream failed', fields);
    metrics.rejected(known.code);
    finish();
    writer.end(known);
    writer.resume();
  }

  function closed(): void {
    if (state.kind === 'ended') return;
    finish();
    writer.end(undefined);
  }

  function finish(): void {
    const before = state;
    state = { kind: 'ended' };
    metrics.streamClosed();
    abort.abort(new XdsError('unavailable', 'the stream ended'));
    syncs.clear();
    target = undefined;
    if (before.kind !== 'open') return;
    try {
      before.handler.onClose();
    } catch (error) {
      deps.log.error('close stream', { stream: info.id, error });
    }
  }

  /** `state` may have changed in a callback, which the type checker can't see. */
  function isEnded(): boolean {
    return (state as State).kind === 'ended';
  }

  const loop: StreamLoop = { message, closed, end: fail, flush, tick };
  return loop;
}

function isKnown(typeUrl: string): typeUrl is TypeUrl {
  return KNOWN_TYPES.has(typeUrl);
}
