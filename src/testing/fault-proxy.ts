import { type IncomingMessage, type ServerResponse, request as sendPlain } from 'node:http';
import { createServer, type Server, request as sendByTls } from 'node:https';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { SERVER_AUTH } from '../x509/certificate.ts';
import { createTestCa, createTestLeaf } from './certificates.ts';

/** What happens to the calls to an issuer (reliability F4). */
export type Fault =
  | 'none'
  /** Nothing listens. */
  | 'refused'
  /** The connection is taken, and nothing answers. */
  | 'hang'
  /** The connection ends when the question has come. */
  | 'drop'
  /** The certificate of the server has expired. */
  | 'tls-expired'
  | { readonly status: number; readonly body: string }
  /** The answer comes so late, in ms. */
  | { readonly slowMs: number };

/** One call as it came in. */
export interface ProxiedCall {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
}

/** Stands before a real issuer and lets calls through, or not. HTTPS on a free port of this machine. */
export interface FaultProxy {
  /** `https://localhost:port`. */
  readonly address: string;
  /** Of the CA that signed its TLS certificate. */
  readonly caPem: string;
  /** Paths of the calls that came, in order. */
  readonly calls: readonly string[];
  /** From now on. */
  fail(fault: Fault): Promise<void>;
  /** Answers these calls in the issuer's place; `undefined`: as the issuer does. */
  answer: ((call: ProxiedCall) => Promise<{ status: number; body: string | Iterable<Buffer> } | undefined>) | undefined;
  close(): Promise<void>;
}

/** Before `target`, a URL without path whose TLS certificate is signed by `targetCaPem`. */
export async function startFaultProxy(target: string, targetCaPem: string): Promise<FaultProxy> {
  const ca = await createTestCa({ subject: 'CN=fault proxy' });
  const names = { uriSans: [], dnsSans: ['localhost'], extendedKeyUsage: [SERVER_AUTH] };
  const good = await createTestLeaf(ca, names);
  const old = await createTestLeaf(ca, { ...names, from: -7_200_000, to: -3_600_000 });
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const calls: string[] = [];
  let fault: Fault = 'none';

  const server: Server = createServer({ cert: good.pem, key: good.keyPem }, (request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('start the fault proxy: it has no address');
  const { port } = bound;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const call = { method: request.method ?? 'GET', path: request.url ?? '/', body: Buffer.concat(parts) };
    calls.push(call.path);
    if (fault === 'hang') return;
    if (fault === 'drop') {
      request.socket.destroy();
      return;
    }
    if (typeof fault === 'object' && 'status' in fault) {
      response.writeHead(fault.status, { 'content-type': 'application/json' }).end(fault.body);
      return;
    }
    if (typeof fault === 'object') {
      const { slowMs } = fault;
      await new Promise<void>((resolve) => timers.add(setTimeout(resolve, slowMs)));
      if (response.destroyed) return;
    }
    const own = await proxy.answer?.(call);
    if (own === undefined) return forward(call, request, response);
    response.writeHead(own.status, { 'content-type': 'application/json' });
    if (typeof own.body === 'string') return void response.end(own.body);
    for (const part of own.body) {
      if (!response.write(part)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
      if (response.destroyed) return;
    }
    response.end();
  }

  /** Passes bodies on as they come: a watch of Kubernetes has no end. */
  function forward(call: ProxiedCall, request: IncomingMessage, response: ServerResponse): void {
    const { host = '', connection: _connection, 'content-length': _length, ...headers } = request.headers;
    const { href, protocol } = new URL(call.path, target);
    const send = protocol === 'https:' ? sendByTls : sendPlain;
    const upstream = send(href, {
      method: call.method,
      headers: { ...headers, 'x-forwarded-host': host },
      ...(protocol === 'https:' && { ca: targetCaPem }),
      agent: false,
    });
    upstream
      .on('error', () => response.destroy())
      .on('response', (answer) => {
        const { connection: _hop, 'transfer-encoding': _chunked, ...passed } = answer.headers;
        response.writeHead(answer.statusCode ?? 502, passed);
        response.flushHeaders();
        pipeline(answer, response, () => undefined);
      });
    response.on('close', () => upstream.destroy());
    upstream.end(call.body);
  }

  function stopListening(): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    hangUp();
    return closed;
  }
  function hangUp(): void {
    for (const socket of sockets) socket.destroy();
  }

  const proxy: FaultProxy = {
    address: `https://localhost:${port}`,
    caPem: ca.pem,
    calls,
    answer: undefined,
    async fail(next) {
      const before = fault;
      fault = next;
      if (next === 'refused') return stopListening();
      const shown = next === 'tls-expired' ? old : good;
      server.setSecureContext({ cert: shown.pem, key: shown.keyPem });
      if (before === 'refused') return listen(port);
      // What was begun under the old fault ends; new connections meet the new one.
      hangUp();
    },
    async close() {
      for (const timer of timers) clearTimeout(timer);
      if (server.listening) await stopListening();
    },
  };
  return proxy;
}
