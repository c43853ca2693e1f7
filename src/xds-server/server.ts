/**
 * The xDS server: gRPC service `envoy.service.discovery.v3.AggregatedDiscoveryService`, both variants.
 *
 * ```
 * gRPC call ── bytes ──> request.ts ──> stream.ts ── per type ──> delta.ts | sotw.ts
 *                                          │  ^ target                  │ what is missing
 *                          XdsSource.open ─┘  └─ setResources           v
 * gRPC call <────────────── bytes ─────────────────────────── response.ts
 * ```
 * It knows nothing of meshes and opens no port: `dataplane-server.ts` (or a test) hands it connections.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import {
  type ConnectionInjector,
  type handleBidiStreamingCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import { type Clock, systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import { type AdmissionLimits, createAdmission, DEFAULT_ADMISSION } from './admission.ts';
import { createDeltaSync } from './delta.ts';
import { createXdsMetrics } from './metrics.ts';
import { decodeDeltaRequest, decodeSotwRequest } from './request.ts';
import { createFlushQueue, createWatchdog } from './schedule.ts';
import { createSotwSync } from './sotw.ts';
import {
  type CommonRequest,
  createStreamLoop,
  type StreamLimits,
  type StreamLoop,
  type StreamWriter,
  type Variant,
} from './stream.ts';
import { XdsError, type XdsErrorCode, type XdsSource } from './xds.ts';

export interface XdsServerOptions {
  readonly source: XdsSource;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly admission?: AdmissionLimits;
  readonly limits?: Partial<StreamLimits>;
  readonly clock?: Clock;
}

export interface XdsServer {
  /** Serves HTTP/2 on this connection, which is then owned by the server. */
  accept(connection: Duplex): void;
  /** Number of open streams. */
  readonly streams: number;
  /** Ends every stream with `unavailable`, so that proxies go elsewhere, and drops what is left after `graceMs`. Harmless twice. */
  close(graceMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const SERVICE = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

const identity = (bytes: Buffer): Buffer => bytes;
const method = (name: string) => ({
  path: `${SERVICE}/${name}`,
  requestStream: true,
  responseStream: true,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

/** The service with bytes as messages: what is sent is encoded already, what comes is decoded by the stream. Clients may use it too. */
export const ADS_SERVICE = {
  streamAggregatedResources: method('StreamAggregatedResources'),
  deltaAggregatedResources: method('DeltaAggregatedResources'),
} satisfies ServiceDefinition;

const DELTA: Variant<ReturnType<typeof decodeDeltaRequest>> = {
  protocol: 'delta',
  decode: decodeDeltaRequest,
  createSync: createDeltaSync,
};
const SOTW: Variant<ReturnType<typeof decodeSotwRequest>> = {
  protocol: 'sotw',
  decode: decodeSotwRequest,
  createSync: createSotwSync,
};

const DEFAULT_LIMITS: StreamLimits = {
  firstRequestTimeoutMs: 15_000,
  stalledWriteTimeoutMs: 50_000,
  endpointsWaitMs: 500,
};

/**
 * HTTP/2 limits. One proxy needs one or two calls and requests of kilobytes; an Envoy with tens of thousands of named resources sends
 * them all in one request when it reconnects, hence megabytes. Resets, pings, settings and header floods are cut by Node's own defaults.
 */
const GRPC_OPTIONS = {
  'grpc.max_concurrent_streams': 100,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.max_send_message_length': -1,
  'grpc-node.max_session_memory': 64,
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.max_connection_idle_ms': 60_000,
  'grpc.enable_channelz': 0,
};

export function createXdsServer(options: XdsServerOptions): XdsServer {
  const clock = options.clock ?? systemClock;
  const log = options.log.named('xds-server');
  const watchdog = createWatchdog(clock, 1000);
  const deps = {
    source: options.source,
    admission: createAdmission(options.admission ?? DEFAULT_ADMISSION),
    flushes: createFlushQueue(clock, 10),
    watchdog,
    clock,
    log,
    metrics: createXdsMetrics(options.metrics),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
  };
  const grpc = new Server(GRPC_OPTIONS);
  const injector: ConnectionInjector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const connections = new Map<string, Duplex>();
  const loops = new Set<StreamLoop>();
  let calls = 0;
  let closing: Promise<void> | undefined;

  grpc.addService(ADS_SERVICE, { streamAggregatedResources: serve(SOTW), deltaAggregatedResources: serve(DELTA) });

  function serve<Request extends CommonRequest>(variant: Variant<Request>): handleBidiStreamingCall<Buffer, Buffer> {
    return (call) => {
      calls++;
      const peer = call.getPeer();
      const [authorization] = call.metadata.get('authorization');
      const info = { id: String(calls), peer, authorization: typeof authorization === 'string' ? authorization : '' };
      const loop = createStreamLoop(
        variant,
        info,
        writerOf(call, () => connections.get(peer)?.destroy()),
        deps,
      );
      loops.add(loop);
      const gone = (): void => {
        loops.delete(loop);
        loop.closed();
      };
      call.on('data', (bytes: Buffer) => loop.message(bytes));
      call.on('end', gone);
      call.on('cancelled', gone);
      call.on('close', gone);
      if (closing) loop.end(new XdsError('unavailable', 'the control plane is stopping'));
    };
  }

  async function close(graceMs: number): Promise<void> {
    for (const loop of loops) loop.end(new XdsError('unavailable', 'the control plane is stopping'));
    grpc.tryShutdown(() => undefined);
    // The sessions end before their last bytes are out: what counts is that the connections are closed.
    const flushed = Promise.all(
      [...connections.values()].map((connection) => once(connection, 'close').catch(() => undefined)),
    );
    const late = new Promise<void>((resolve) => clock.after(graceMs, resolve));
    await Promise.race([flushed, late]);
    grpc.forceShutdown();
    injector.destroy();
    for (const connection of connections.values()) connection.destroy();
    watchdog.close();
  }

  const server: XdsServer = {
    accept(connection) {
      const peer = peerOf(connection);
      connections.set(peer, connection);
      connection.once('close', () => connections.delete(peer));
      injector.injectConnection(connection);
    },
    get streams() {
      return loops.size;
    },
    close(graceMs = 2000) {
      closing ??= close(graceMs);
      return closing;
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
  return server;
}

/** `address:port`, as grpc-js prints the peer of a call. */
function peerOf(connection: Duplex): string {
  const { remoteAddress, remotePort } = connection as { remoteAddress?: string; remotePort?: number };
  return `${remoteAddress}:${remotePort}`;
}

function writerOf(call: ServerDuplexStream<Buffer, Buffer>, destroy: () => void): StreamWriter {
  return {
    write: (bytes, done) => call.write(bytes, done),
    pause: () => void call.pause(),
    resume: () => void call.resume(),
    end(error) {
      // grpc-js takes the status of a stream as its error.
      if (error) call.emit('error', { code: STATUS[error.code], details: '', metadata: messageHeader(error.message) });
      else call.end();
    },
    destroy,
  };
}

/**
 * The status text as the header it travels in. grpc-js would encode spaces and quotes too, and Envoy logs the header as it comes:
 * only `%` and what is not printable ASCII is encoded, as the gRPC specification says (PROTOCOL-HTTP2, Percent-Encoded).
 */
function messageHeader(message: string): Metadata {
  const metadata = new Metadata();
  metadata.set('grpc-message', message.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent));
  return metadata;
}

/** The one place where an `XdsError` becomes a gRPC status. */
const STATUS: Readonly<Record<XdsErrorCode, status>> = {
  unauthenticated: status.UNAUTHENTICATED,
  'permission-denied': status.PERMISSION_DENIED,
  'invalid-argument': status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  internal: status.INTERNAL,
};
