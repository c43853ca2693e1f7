import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { CliError } from '../errors.ts';

/** Where an API is and how to talk to it. */
export interface ApiTarget {
  /** `http://localhost:5681`, with a base path when the API has one. */
  readonly url: string;
  /** Sent with every request: credentials, user-given headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM. Absent: the certificates the machine trusts. */
  readonly caCert?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  /** Only when the user said so. */
  readonly skipVerify: boolean;
}

export interface ApiRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Path segments, not yet encoded. */
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** JSON body. */
  readonly body?: unknown;
  /** What is being done, for error messages: `get Mesh default`. */
  readonly doing: string;
}

export interface ApiResponse {
  readonly status: number;
  readonly text: string;
  /** Header `date`: the clock of the other side, to the second. */
  readonly date?: string | undefined;
}

/** Talks to the REST API of a control plane. */
export interface ApiClient {
  readonly url: string;
  /** Any answer, whatever its status. Throws `connection` when there is none. */
  send(request: ApiRequest): Promise<ApiResponse>;
}

export interface ClientOptions {
  /** 0: no limit. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Gets one line per request, without headers. */
  readonly debug?: (line: string) => void;
}

/** A client without a connection yet; connections are kept open between requests of one command. */
export function createApiClient(target: ApiTarget, options: ClientOptions): ApiClient {
  let agent: Agent | undefined;
  return {
    url: target.url,
    async send(request) {
      const url = urlOf(target.url, request);
      const secure = url.protocol === 'https:';
      const { Agent: AgentOf, request: open } = secure ? await import('node:https') : await import('node:http');
      agent ??= new AgentOf({ keepAlive: true, maxSockets: 8 });
      const started = performance.now();
      const body = request.body === undefined ? undefined : JSON.stringify(request.body);
      const stop = options.timeoutMs > 0 ? AbortSignal.timeout(options.timeoutMs) : undefined;
      const sent = open(url, {
        method: request.method,
        agent,
        signal: stop === undefined ? options.signal : AbortSignal.any([options.signal, stop]),
        headers: {
          accept: 'application/json',
          ...target.headers,
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
        ...(secure ? tlsOptions(target) : {}),
      });
      try {
        const response = await answerOf(sent, body);
        options.debug?.(
          `${request.method} ${url.href} ${response.status} ${Math.round(performance.now() - started)} ms`,
        );
        return response;
      } catch (error) {
        if (options.signal.aborted) throw new CliError('connection', `${request.doing}: interrupted`);
        throw connectionError(error, request.doing, target.url, stop?.aborted === true ? options.timeoutMs : undefined);
      }
    },
  };
}

function tlsOptions(target: ApiTarget) {
  return {
    rejectUnauthorized: !target.skipVerify,
    ...(target.caCert === undefined ? {} : { ca: target.caCert }),
    ...(target.clientCert === undefined ? {} : { cert: target.clientCert }),
    ...(target.clientKey === undefined ? {} : { key: target.clientKey }),
  };
}

function urlOf(base: string, { path, query }: ApiRequest): URL {
  const url = new URL(`${base.replace(/\/+$/, '')}/${path.map(encodeURIComponent).join('/')}`);
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined) url.searchParams.append(name, value);
  return url;
}

async function answerOf(sent: ClientRequest, body: string | undefined): Promise<ApiResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  sent.once('response', resolve).once('error', reject).end(body);
  const response = await promise;
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode ?? 0, text, date: response.headers.date };
}

const TLS_CODES = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|EPROTO$)/;

function connectionError(error: unknown, doing: string, url: string, timeoutMs: number | undefined): CliError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (timeoutMs !== undefined) {
    return new CliError('connection', `${doing}: no answer from ${url} within ${timeoutMs / 1000} s`, {
      next: 'check the address, or raise --api-timeout',
      cause: error,
    });
  }
  if (TLS_CODES.test(code)) {
    return new CliError('connection', `${doing}: the certificate of ${url} is not trusted (${code})`, {
      next: 'give its CA with `weft config control-planes add --overwrite --ca-cert-file`',
      cause: error,
    });
  }
  const reason = code === 'ECONNREFUSED' ? 'nothing listens there' : code || (error as Error).message;
  return new CliError('connection', `${doing}: cannot reach ${url}: ${reason}`, {
    next: 'start it with `weft cp run`, or choose another with --cp-address or `weft config control-planes switch`',
    cause: error,
  });
}
