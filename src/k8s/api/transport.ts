import type { Agent } from 'undici';
import type { Clock } from '../../lib/clock.ts';
import { errorOfAnswer } from './answer-error.ts';
import { KubeError } from './client.ts';
import type { Credentials, CredentialsSource } from './credentials.ts';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** JSON text. */
  readonly body?: string;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  /** For messages: `create pods shop/web`. */
  readonly what: string;
}

/** HTTP to one API server, with credentials. Every call throws `KubeError`. */
export interface Transport {
  readonly server: string;
  readonly namespace: string;
  /** The text of a 2xx answer. */
  call(request: KubeRequest): Promise<string>;
  /** The body of a 2xx answer as it comes, until the server or `signal` ends it; aborting rejects the read. */
  stream(request: KubeRequest & { readonly signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>>;
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly credentials: CredentialsSource;
  readonly clock: Clock;
  /** Most time for one call, from start to the last byte; for a stream: to its first. */
  readonly deadlineMs: number;
  /** Parallel calls; further ones wait their turn. Streams are not counted. */
  readonly connections: number;
}

/** Token files and client certificates are looked at again so often. */
const CREDENTIALS_MS = 10_000;
/** The API server closes idle connections after 90 s; ours go before that, so that no call meets a closing one. */
const KEEP_ALIVE_MS = 60_000;
/** How soon the system begins to test a silent connection. */
const TCP_PROBE_MS = 15_000;

/** Connections that share one TLS identity. */
interface Line {
  readonly identity: string;
  readonly calls: Agent;
  /** A watch holds its connection for minutes, so it takes none from the calls. */
  readonly streams: Agent;
}

/** Reads the credentials once, so that a missing file is an error now. Opens no connection yet. */
export async function createTransport(options: TransportOptions): Promise<Transport> {
  const { credentials: source, clock, deadlineMs, connections } = options;
  const undici = await import('undici');
  const lines = new Set<Line>();
  let known = await source.read();
  let readAt = clock.monotonic();
  let reading: Promise<void> | undefined;
  let line = lineFor(known);
  let closed = false;
  const { server, namespace } = known;
  const url = new URL(server);
  // A cluster may be served below a path (Rancher).
  const prefix = url.pathname.replace(/\/$/, '');

  function lineFor(credentials: Credentials): Line {
    const { tls, proxyUrl } = credentials;
    const common = {
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Deadlines are ours, and a watch may be silent.
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
    };
    const connect = { ...tls, timeout: deadlineMs, keepAlive: true, keepAliveInitialDelay: TCP_PROBE_MS };
    const agent = (limit: number | null): Agent =>
      proxyUrl === undefined
        ? new undici.Agent({ ...common, connect, connections: limit })
        : // A ProxyAgent is a Dispatcher with the same `request`, `close` and `destroy`.
          (new undici.ProxyAgent({
            ...common,
            uri: proxyUrl,
            requestTls: connect,
            connections: limit,
          }) as unknown as Agent);
    const made = {
      identity: JSON.stringify([tls, proxyUrl]),
      calls: agent(connections),
      streams: agent(null),
    };
    lines.add(made);
    return made;
  }

  /** One reading at a time. A file that cannot be read now leaves what is known. */
  function refresh(read: () => Promise<Credentials>): Promise<void> {
    reading ??= read()
      .then(
        (fresh) => {
          if (closed) return;
          known = fresh;
          if (JSON.stringify([fresh.tls, fresh.proxyUrl]) === line.identity) return;
          const old = line;
          line = lineFor(fresh);
          // Ends when its last call and watch have ended; `close` waits for it.
          retire(old);
        },
        () => undefined,
      )
      .finally(() => {
        readAt = clock.monotonic();
        reading = undefined;
      });
    return reading;
  }

  function retire(old: Line): void {
    Promise.all([old.calls.close(), old.streams.close()]).then(
      () => lines.delete(old),
      () => lines.delete(old),
    );
  }

  async function send(request: KubeRequest, agent: 'calls' | 'streams', signal: AbortSignal) {
    if (clock.monotonic() - readAt > CREDENTIALS_MS) await refresh(() => source.read());
    const once = async () => {
      const answer = await line[agent].request({
        origin: url.origin,
        path: prefix + request.path,
        method: request.method,
        headers: {
          ...known.headers,
          accept: 'application/json',
          'user-agent': 'weft',
          ...(request.body !== undefined && { 'content-type': request.contentType ?? 'application/json' }),
        },
        body: request.body ?? null,
        // Otherwise a DELETE with a body ends its connection, and the next call pays for a TLS handshake.
        reset: false,
        signal,
      });
      if (answer.statusCode >= 200 && answer.statusCode < 300) return answer.body;
      const retryAfter = answer.headers['retry-after'];
      throw errorOfAnswer(
        request.what,
        answer.statusCode,
        await answer.body.text(),
        Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
      );
    };
    const usedAt = readAt;
    try {
      return await once();
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 'unauthorized') throw error;
      // The token may have been replaced since we read it; whoever comes second uses what the first has read.
      if (usedAt === readAt) await refresh(() => source.renew());
      return once();
    }
  }

  /** Anything but a `KubeError` is a connection that failed or was given up. */
  function toKubeError(error: unknown, request: KubeRequest, timedOut: boolean): KubeError {
    if (error instanceof KubeError) return error;
    if (timedOut) {
      return new KubeError('aborted', `${request.what}: no answer from ${server} in ${deadlineMs} ms`, {
        cause: error,
      });
    }
    if (request.signal?.aborted || closed) {
      return new KubeError('aborted', `${request.what}: given up`, { cause: error });
    }
    return new KubeError('unavailable', `${request.what}: no answer from ${server}: ${reasonOf(error)}`, {
      cause: error,
    });
  }

  return {
    server,
    namespace,
    async call(request) {
      const limit = startLimit(clock, deadlineMs, request.signal);
      try {
        return await (await send(request, 'calls', limit.signal)).text();
      } catch (error) {
        throw toKubeError(error, request, limit.timedOut());
      } finally {
        limit.end();
      }
    },
    async stream(request) {
      // The limit's link to the caller's signal stays for the life of the stream; only the time stops to count.
      const limit = startLimit(clock, deadlineMs, request.signal);
      try {
        const body = await send(request, 'streams', limit.signal);
        limit.stopTime();
        return (async function* () {
          try {
            yield* body;
          } catch (error) {
            throw toKubeError(error, request, false);
          } finally {
            limit.end();
          }
        })();
      } catch (error) {
        limit.end();
        throw toKubeError(error, request, limit.timedOut());
      }
    },
    async close() {
      closed = true;
      await Promise.all([...lines].flatMap(({ calls, streams }) => [calls.destroy(), streams.destroy()]));
      lines.clear();
    },
  };
}

/** A signal that aborts with `outer`, or when `ms` have passed. `end` must be called: it lets go of `outer`. */
function startLimit(clock: Clock, ms: number, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  let timedOut = false;
  const abort = () => controller.abort(outer?.reason);
  const timer = clock.after(ms, () => {
    timedOut = true;
    controller.abort();
  });
  if (outer?.aborted) abort();
  else outer?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    timedOut: () => timedOut,
    stopTime: () => timer.cancel(),
    end() {
      timer.cancel();
      outer?.removeEventListener('abort', abort);
    },
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}
