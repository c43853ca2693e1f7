/**
 * The HTTP API: every route of every kind over plain HTTP and HTTPS, with one way to authenticate, to refuse and to log.
 * Handlers know nothing of fastify: they get a `Call` and give an `Answer` (`route.ts`). Source: compatibility reference 5.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions, TlsOptions, Server as TlsServer } from 'node:tls';
import fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type InjectOptions,
  type LightMyRequestResponse,
} from 'fastify';
import { type AccessRules, ANONYMOUS_USER, requireAccess, type User } from '../auth/access.ts';
import { AuthError } from '../auth/errors.ts';
import type { UserAuthenticator } from '../auth/users.ts';
import { JsonTextError, parseJsonText } from '../lib/json-text.ts';
import type { Logger } from '../lib/log.ts';
import { Histogram, type Metrics } from '../lib/metrics.ts';
import { applyCors, compileOrigins } from './cors.ts';
import { badRequest, Problem, problemBody, toProblem } from './problem.ts';
import type { Answer, Call, Route } from './route.ts';

/** Where and how the API listens, and who may call it. */
export interface RestServerOptions {
  readonly routes: readonly Route[];
  readonly users: UserAuthenticator;
  readonly access: AccessRules;
  readonly log: Logger;
  /** Request durations go here as `api_server_http_request_duration_seconds`; absent: nowhere. */
  readonly metrics?: Metrics;
  /** Absent: no plain HTTP. Port 0: any free one. */
  readonly http?: { readonly host: string; readonly port: number };
  readonly https?: { readonly host: string; readonly port: number; readonly tls: SecureContextOptions & TlsOptions };
  /** Regular expressions of origins that web pages may call from, matched as a whole. Empty: none. */
  readonly corsAllowedDomains?: readonly string[];
  readonly readHeaderTimeoutMs?: number;
  readonly readTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly maxBodyBytes?: number;
  /** Path under which every route is; default `/`. */
  readonly basePath?: string;
  /** Address of the API as clients see it, for links; empty or absent: taken from the request. */
  readonly rootUrl?: string;
}

export interface RestServer {
  /** Opens the listeners; rejects when a port is taken, with none left open. */
  listen(): Promise<{ readonly http?: AddressInfo; readonly https?: AddressInfo }>;
  /** A request without a network, for tests. The peer is 127.0.0.1 unless `remoteAddress` says otherwise. */
  inject(request: InjectOptions): Promise<LightMyRequestResponse>;
  /** New connections to the HTTPS listener get this certificate; open ones stay. Throws when it can't be used, and the old one stays. */
  setCertificate(certificate: { readonly certPem: string; readonly keyPem: string }): void;
  /** Ends both listeners and their connections. */
  close(): Promise<void>;
}

const DEFAULTS = {
  readHeaderTimeoutMs: 1000,
  readTimeoutMs: 10_000,
  idleTimeoutMs: 120_000,
  maxBodyBytes: 8 * 1024 * 1024,
};

/** Longest path parameter: a KRI of names at their limit. */
const MAX_PARAMETER_CHARS = 1200;

export function createRestServer(options: RestServerOptions): RestServer {
  const durations = options.metrics && requestDurations(options.metrics);
  const plain = createApp(options, undefined, durations);
  const secure = options.https && createApp(options, options.https.tls, durations);
  return {
    async listen() {
      try {
        if (options.http) await listen(plain, options.http);
        if (options.https && secure) await listen(secure, options.https);
      } catch (error) {
        await Promise.all([plain.close(), secure?.close()]);
        throw error;
      }
      return {
        ...(options.http ? { http: plain.server.address() as AddressInfo } : {}),
        ...(secure ? { https: secure.server.address() as AddressInfo } : {}),
      };
    },
    inject: (request) => plain.inject(request),
    setCertificate({ certPem, keyPem }) {
      // Made with `https`, so its server is a TLS server.
      const server = secure?.server as TlsServer | undefined;
      server?.setSecureContext({ ...options.https?.tls, cert: certPem, key: keyPem });
    },
    close: async () => {
      await Promise.all([plain.close(), secure?.close()]);
    },
  };
}

async function listen(app: FastifyInstance, at: { host: string; port: number }): Promise<void> {
  try {
    await app.listen(at);
  } catch (cause) {
    throw new Error(`listen for the API on ${at.host}:${at.port}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

function createApp(
  options: RestServerOptions,
  tls: (SecureContextOptions & TlsOptions) | undefined,
  durations: Histogram<'handler' | 'method' | 'code'> | undefined,
): FastifyInstance {
  const limits = { ...DEFAULTS, ...options };
  const server = { headersTimeout: limits.readHeaderTimeoutMs, connectionsCheckingInterval: 500 };
  const app = fastify({
    ...(tls ? { https: { ...server, ...tls } } : { http: server }),
    logger: false,
    trustProxy: false,
    bodyLimit: limits.maxBodyBytes,
    requestTimeout: limits.readTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAX_PARAMETER_CHARS, ignoreTrailingSlash: true },
    frameworkErrors: (error, _request, reply) => sendProblem(reply, new Problem(400, 'Bad Request', error.message)),
  }) as unknown as FastifyInstance;

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new Problem(404, 'Not Found', `there is no ${request.method} ${request.url.split('?')[0]}`)),
  );
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, frameworkProblem(error, options.log)));
  app.addHook('onRequest', async (request, reply) => {
    if (isPlainTarget(request)) return;
    sendProblem(reply, new Problem(400, 'Bad Request', 'read the request: one Host and a path are needed'));
    return reply;
  });
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store');
  });
  if (options.corsAllowedDomains?.length) applyCors(app, compileOrigins(options.corsAllowedDomains));
  const basePath = (options.basePath ?? '/').replace(/\/+$/, '');
  for (const route of options.routes) {
    app.route({
      method: route.method,
      url: basePath + route.path.replaceAll(/\{([^}]+)\}/g, ':$1'),
      handler: async (request, reply) => {
        const stop = durations?.startTimer({ handler: route.path, method: route.method });
        await serve(route, options, request, reply);
        stop?.({ code: String(reply.statusCode) });
        return reply;
      },
    });
  }
  return app;
}

/** Refuses a second `Host`, of which Node keeps the first, and a target that names a host of its own. RFC 9112 3.2. */
function isPlainTarget({ raw }: FastifyRequest): boolean {
  const hosts = raw.rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host');
  return hosts.length <= 1 && raw.url?.startsWith('/') === true;
}

async function serve(
  route: Route,
  options: RestServerOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  try {
    const user = route.access.rule === 'public' ? ANONYMOUS_USER : await authenticate(options.users, request);
    const { call, wasAuthorized } = createCall(route, options, user, request);
    if (!isLate(route)) call.authorize();
    const answer = await route.handle(call);
    if (!wasAuthorized()) throw new Error(`${route.method} ${route.path} answered without checking access`);
    sendAnswer(reply, answer);
  } catch (error) {
    const problem = toProblem(error, 'Could not process the request');
    if (problem.status >= 500) {
      // 503 is a neighbour's failure (store, Envoy), which its owner reports; anything else is ours.
      options.log[problem.status === 503 ? 'warn' : 'error']('request failed', {
        method: route.method,
        route: route.path,
        status: problem.status,
        reason: problem.cause instanceof Error ? problem.cause : problem.message,
      });
    }
    sendProblem(reply, problem);
  }
}

async function authenticate(users: UserAuthenticator, request: FastifyRequest): Promise<User> {
  try {
    return await users.authenticate({ peerAddress: request.socket.remoteAddress ?? '', headers: request.headers });
  } catch (error) {
    if (error instanceof AuthError && error.code !== 'invalid-key') {
      throw new Problem(401, 'Invalid authentication data', error.message);
    }
    throw error;
  }
}

function isLate(route: Route): boolean {
  return 'late' in route.access && route.access.late === true;
}

function createCall(
  route: Route,
  options: RestServerOptions,
  user: User,
  request: FastifyRequest,
): { readonly call: Call; readonly wasAuthorized: () => boolean } {
  const [path = '', search = ''] = splitUrl(request.url);
  const params = (request.params ?? {}) as Record<string, string>;
  const query = new URLSearchParams(search);
  if (Object.values(params).some((value) => /[/\p{Cc}]/u.test(value))) throw new Problem(404, 'Not Found', 'Not found');
  if ([...query].some(([key, value]) => key.includes('\0') || value.includes('\0'))) {
    throw new Problem(400, 'Bad Request', 'read the query: NUL is not accepted');
  }
  let authorized = false;
  const call: Call = {
    params,
    query,
    user,
    origin: options.rootUrl
      ? new URL(options.rootUrl).origin
      : `${request.protocol}://${request.headers.host ?? 'localhost'}`,
    path,
    body: () => readBody(request.body, request.headers),
    authorize() {
      const { access } = route;
      if ('what' in access) requireAccess(options.access, access.rule, user, access.what);
      authorized = true;
    },
  };
  return { call, wasAuthorized: () => authorized };
}

function splitUrl(url: string): [string, string] {
  const mark = url.indexOf('?');
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}

/** JSON is the only language of bodies; a form or text/plain is what a web page could send without being asked. */
const JSON_TYPE = /^application\/(?:[a-z0-9.+-]+\+)?json(?:\s*;.*)?$/i;

function readBody(body: unknown, headers: IncomingHttpHeaders): unknown {
  const type = headers['content-type'];
  if (type !== undefined && !JSON_TYPE.test(type)) {
    throw new Problem(
      415,
      'Unsupported Media Type',
      `read the body: content type must be application/json, not ${type}`,
    );
  }
  try {
    return parseJsonText(Buffer.isBuffer(body) ? body : Buffer.alloc(0));
  } catch (error) {
    throw error instanceof JsonTextError ? badRequest(error.message) : error;
  }
}

function sendAnswer(reply: FastifyReply, answer: Answer): void {
  reply.code(answer.status ?? 200);
  if ('json' in answer) reply.type('application/json').send(`${JSON.stringify(answer.json, undefined, 1)}\n`);
  else reply.type(answer.contentType).send(answer.content);
}

function sendProblem(reply: FastifyReply, problem: Problem): void {
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  if (problem.retryAfterSeconds !== undefined) reply.header('retry-after', String(problem.retryAfterSeconds));
  reply
    .code(problem.status)
    .type('application/json')
    .send(`${JSON.stringify(problemBody(problem), undefined, 1)}\n`);
}

/** Errors of fastify itself: bodies that are too large or cut off keep their status, anything else is ours. */
function frameworkProblem(error: unknown, log: Logger): Problem {
  if (error instanceof Problem) return error;
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new Problem(statusCode, 'Bad Request', `read the request: ${message ?? 'malformed'}`);
  }
  log.error('request failed', { reason: error });
  return new Problem(500, 'Internal Server Error', 'Internal Server Error');
}

function requestDurations(metrics: Metrics): Histogram<'handler' | 'method' | 'code'> {
  return new Histogram({
    name: 'api_server_http_request_duration_seconds',
    help: 'Duration of requests to the API',
    labelNames: ['handler', 'method', 'code'],
    registers: [metrics],
  });
}
