/** The two programs of the demo. They know nothing of the mesh: `web` calls a local port. */
import { Agent, createServer, request, type Server } from 'node:http';

/** `api`: answers how many requests it has served. */
export function createApiService(): Server {
  let served = 0;
  return createServer((incoming, outgoing) => {
    incoming.resume();
    if (incoming.url !== '/served') served += 1;
    outgoing.setHeader('content-type', 'application/json');
    outgoing.end(JSON.stringify({ service: 'api', served }));
  });
}

/**
 * `web`: each request makes it call `api` at `apiPort` once, without retries. `/kept` uses a connection again, every other path
 * opens a new one. Answers what `api` answered, or 502 with the reason.
 */
export function createWebService(apiPort: number): Server {
  const kept = new Agent({ keepAlive: true });
  return createServer((incoming, outgoing) => {
    incoming.resume();
    const call = request(
      { host: '127.0.0.1', port: apiPort, path: '/', agent: incoming.url === '/kept' ? kept : false, timeout: 8000 },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' });
        answer.pipe(outgoing);
        answer.once('error', () => outgoing.destroy());
      },
    );
    call.once('timeout', () => call.destroy(new Error('api did not answer within 8 s')));
    call.once('error', (error) => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502, { 'content-type': 'text/plain' }).end(`call api: ${error.message}`);
    });
    call.end();
  });
}

/**
 * Runs `api <port>` or `web <port> <port of api>` until SIGTERM; resolves then. Rejects for other arguments, and when the port is taken.
 */
export async function runService(argv: readonly string[]): Promise<void> {
  const [role, port, apiPort] = argv;
  if (role !== 'api' && role !== 'web') throw new Error(`run the demo service ${role}: there are only api and web`);
  const server = role === 'api' ? createApiService() : createWebService(Number(apiPort));
  // Longer than any pause of the callers: a connection must not be closed under a request.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(port), '127.0.0.1', resolve);
  });
  await new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  server.closeAllConnections();
  server.close();
}
