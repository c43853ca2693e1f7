import { codeOf, DataplaneError } from './error.ts';
import { http } from './node.ts';

/** `GET /ready` of the launcher: 200 while Envoy runs, 503 before that and once it is told to stop. */
export interface Readiness extends AsyncDisposable {
  setReady(ready: boolean): void;
  /** From now on it answers 503 TERMINATING. */
  terminate(): void;
  close(): Promise<void>;
}

/**
 * Listens on loopback `port`. Error: `readiness_port_taken`. Source: Kuma 2.11 `app/kuma-dp/pkg/dataplane/readiness`.
 */
export async function createReadiness(port: number): Promise<Readiness> {
  let state: 'STARTING' | 'READY' | 'TERMINATING' = 'STARTING';
  const server = http.createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/ready') {
      response.writeHead(404).end();
      return;
    }
    const headers = {
      'content-type': 'text/plain',
      'content-length': state.length,
      'cache-control': 'no-cache, max-age=0',
      'x-powered-by': 'weft',
    };
    response.writeHead(state === 'READY' ? 200 : 503, headers).end(state);
  });
  await listen(server, port);
  const close = () => closeServer(server);
  return {
    setReady: (ready) => {
      if (state !== 'TERMINATING') state = ready ? 'READY' : 'STARTING';
    },
    terminate: () => {
      state = 'TERMINATING';
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * The port for `createReadiness`: `port` when it is free; else, unless it is `fixed`, some free one. 0 stays 0.
 * Error: `readiness_port_taken`.
 */
export async function chooseReadinessPort(port: number, fixed: boolean): Promise<number> {
  if (port === 0) return 0;
  try {
    return await tryPort(port);
  } catch (error) {
    if (fixed || !(error instanceof DataplaneError && codeOf(error.cause) === 'EADDRINUSE')) throw error;
    return tryPort(0);
  }
}

async function tryPort(port: number): Promise<number> {
  const server = http.createServer();
  await listen(server, port);
  const address = server.address();
  await closeServer(server);
  return typeof address === 'object' && address ? address.port : port;
}

type HttpServer = ReturnType<typeof http.createServer>;

function listen(server: HttpServer, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `listen on readiness port ${port}: ${codeOf(cause)}; choose another with --readiness-port, 0 for none`;
      reject(new DataplaneError('readiness_port_taken', message, { cause }));
    });
    server.listen(port, '127.0.0.1', resolve);
  });
}

function closeServer(server: HttpServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
