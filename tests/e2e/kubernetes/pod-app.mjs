/**
 * The application in the test Pods, mounted from a ConfigMap. It knows nothing of the mesh and calls plain addresses.
 *   server <port>                        answers every request with the Pod's name and what Envoy says of the client
 *   client <stats port> <rate> <url>...  GETs the URLs in turn at a constant rate, without retries; `/stats` has every answer counted,
 *                                        `/call?url=` makes one call and says how it ended
 *   once <url>                           GETs it as its first act, prints the answer, and ends; badly when it is not 200
 *   probed <kind> <port> <control port>  answers http, tcp or grpc probes, until a GET of `/off` on the control port; again after `/on`
 */
import { Agent, createServer, get } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';

const [role, port, rate, ...urls] = process.argv.slice(2);
const name = process.env.HOSTNAME;

if (role === 'server') {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ pod: name, clientCertificate: request.headers['x-forwarded-client-cert'] ?? '' }));
  });
  server.keepAliveTimeout = 600_000;
  server.listen(Number(port));
  process.once('SIGTERM', () => server.close(() => process.exit(0)));
} else if (role === 'once') {
  const { status, body } = await call(port, false);
  console.log(body);
  process.exit(status === 200 ? 0 : 1);
} else if (role === 'probed') {
  const [, , , , at, controlPort] = process.argv;
  let on = true;
  const make = {
    http: () => createServer((_, response) => response.writeHead(on ? 200 : 500).end()),
    tcp: () => createTcpServer((socket) => socket.on('error', () => {}).end()),
    grpc: () => createHttp2Server().on('stream', (stream) => answerHealth(stream, on)),
  }[port];
  let server = make().listen(Number(at));
  const control = createServer((request, response) => {
    on = request.url === '/on';
    // A TCP probe asks for nothing but a listener.
    if (port === 'tcp') {
      server.close();
      if (on) server = make().listen(Number(at));
    }
    response.end();
  });
  control.listen(Number(controlPort));
  process.once('SIGTERM', () => process.exit(0));
} else {
  const kept = new Agent({ keepAlive: true });
  const outcomes = {};
  const failures = [];
  let sent = 0;
  let ok = 0;
  let open = 0;
  /** When answers became good: the first one, or the first after one that was not. */
  let goodSince;
  const startedAt = performance.now();
  // Half of the calls use a connection again, half open a new one.
  const send = () => {
    const url = urls[sent % urls.length];
    const agent = (sent / urls.length) % 2 < 1 ? kept : false;
    sent += 1;
    open += 1;
    call(url, agent).then(
      // Envoy's reason is in the body.
      ({ status, body }) => note(status === 200 ? '200' : `${status} ${body.slice(0, 150)}`, status === 200),
      (error) => note(error.message, false),
    );
  };
  const note = (outcome, good) => {
    open -= 1;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    goodSince = good ? (goodSince ?? new Date().toISOString()) : undefined;
    if (good) ok += 1;
    else if (failures.length < 20) failures.push(`${new Date().toISOString()} ${outcome}`);
  };
  if (Number(rate) > 0) {
    setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) / 1000) * Number(rate));
      while (sent < due) send();
    }, 5);
  }
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    response.setHeader('content-type', 'application/json');
    if (url.pathname !== '/call') {
      response.end(JSON.stringify({ pod: name, sent, ok, failed: sent - ok - open, outcomes, failures, goodSince }));
      return;
    }
    try {
      response.end(JSON.stringify(await call(url.searchParams.get('url'), false)));
    } catch (error) {
      response.end(JSON.stringify({ error: error.message }));
    }
  });
  server.listen(Number(port));
  process.once('SIGTERM', () => process.exit(0));
}

/** grpc.health.v1: SERVING (1) or NOT_SERVING (2). */
function answerHealth(stream, on) {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.from([0, 0, 0, 0, 2, 8, on ? 1 : 2]));
}

function call(url, agent) {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, timeout: 10_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, body }));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 10 s')));
    request.on('error', reject);
  });
}
