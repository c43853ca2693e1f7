import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { Metrics } from '../lib/metrics.ts';

export interface DiagnosticsServer {
  /** Address it listens on. */
  readonly address: AddressInfo;
  close(): Promise<void>;
}

/**
 * `/healthy` (the process lives), `/ready` (it can serve; 503 with the reason until then), `/metrics` (Prometheus text).
 * Starts listening; rejects when the port is taken. `ready` gives what is not ready yet, `undefined` when all is.
 */
export async function startDiagnosticsServer(options: {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly ready: () => string | undefined;
  /** HTTPS instead of HTTP. */
  readonly tls?: SecureContextOptions;
}): Promise<DiagnosticsServer> {
  const { metrics, ready } = options;
  const answer: RequestListener = (request, response) => {
    const send = (status: number, body: string, contentType = 'text/plain; charset=utf-8') => {
      response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
      response.end(request.method === 'HEAD' ? '' : body);
    };
    request.resume();
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, 'only GET is allowed\n');
    switch (request.url?.split('?')[0]) {
      case '/healthy':
        return send(200, 'ok\n');
      case '/ready': {
        const missing = ready();
        return missing === undefined ? send(200, 'ok\n') : send(503, `not ready: ${missing}\n`);
      }
      case '/metrics':
        return void metrics.metrics().then(
          (text) => send(200, text, metrics.contentType),
          () => send(500, 'collecting metrics failed\n'),
        );
      default:
        return send(404, 'there is /healthy, /ready and /metrics\n');
    }
  };
  const limits = { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 60_000 };
  const server = options.tls ? createTlsServer({ ...limits, ...options.tls }, answer) : createServer(limits, answer);
  await listen(server, options.port, options.host);
  return {
    address: server.address() as AddressInfo,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new Error(`listen for diagnostics on ${host}:${port}: ${cause.message}`, { cause })),
    );
    server.listen({ port, ...(host === '' ? {} : { host }) }, resolve);
  });
}
