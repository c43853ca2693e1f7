/** The two programs of the demo. They know nothing of the mesh: `web` calls an address. */
import { Agent, createServer, request, type Server } from 'node:http';
import { aborted, waitFor } from '../lib/wait.ts';
import { callHttp } from './api.ts';
import { startTraffic, type Traffic, type TrafficReport } from './traffic.ts';
import { trafficLine } from './view.ts';

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
 * `web`: each request makes it call `apiUrl` once, without retries. `/kept` uses a connection again, every other path opens a new one.
 * Answers what `api` answered, or 502 with the reason. `/traffic` answers with the report of its own load; POST starts that anew, from zero.
 */
export function createWebService(apiUrl: string, load?: WebLoad): Server {
  const kept = new Agent({ keepAlive: true });
  return createServer((incoming, outgoing) => {
    incoming.resume();
    if (incoming.url === '/traffic' && load !== undefined) {
      if (incoming.method === 'POST') load.restart();
      outgoing.setHeader('content-type', 'application/json');
      return void outgoing.end(JSON.stringify(load.report()));
    }
    const call = request(apiUrl, { agent: incoming.url === '/kept' ? kept : false, timeout: 8000 }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' });
      answer.pipe(outgoing);
      answer.once('error', () => outgoing.destroy());
    });
    call.once('timeout', () => call.destroy(new Error('api did not answer within 8 s')));
    call.once('error', (error) => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502, { 'content-type': 'text/plain' }).end(`call api: ${error.message}`);
    });
    call.end();
  });
}

/** Load that `web` puts on itself, and so on `api`. */
export interface WebLoad {
  report(): TrafficReport;
  /** Starts, or counts from zero again; requests under way are forgotten. */
  restart(): void;
  stop(): Promise<void>;
}

const NO_TRAFFIC: TrafficReport = { sent: 0, ok: 0, failed: 0, outcomes: {}, failures: [], slowestMs: 0 };

/** Half of the requests make a new connection to `api` each, half keep theirs. Begins with `restart`. */
export function createWebLoad(port: number, perSecond: number): WebLoad {
  let traffic: Traffic | undefined;
  return {
    report: () => traffic?.report() ?? NO_TRAFFIC,
    restart() {
      void traffic?.stop();
      const url = ['kept', 'fresh'].map((path) => `http://127.0.0.1:${port}/${path}`);
      traffic = startTraffic({ url, perSecond, keepAlive: true });
    },
    stop: async () => void (await traffic?.stop()),
  };
}

/** Resolves when `api` has answered for the first time, or the signal has aborted: what fails before a mesh is up says nothing about it. */
async function firstAnswer(port: number, signal: AbortSignal): Promise<void> {
  const answers = () => callHttp(`http://127.0.0.1:${port}/fresh`, 'GET').then(({ status }) => status === 200);
  while (!signal.aborted && !(await answers().catch(() => false))) await waitFor(RETRY_MS, signal);
}

const RETRY_MS = 200;
const SAY_EVERY_MS = 10_000;

/**
 * Runs `api <listen>` or `web <listen> <api> [requests per second]` until SIGTERM; resolves then. `listen` is a port of this machine only, or
 * `address:port`; `api` is a port of this machine or a URL. With a rate, `web` calls `api` by itself once that has answered, and says every 10 s
 * how its requests went. Rejects for other arguments, and when the port is taken.
 */
export async function runService(argv: readonly string[]): Promise<void> {
  const [role, listen = '', api = '', rate] = argv;
  if (role !== 'api' && role !== 'web') throw new Error(`run the demo service ${role}: there are only api and web`);
  const [port = '', host = '127.0.0.1'] = listen.split(':').reverse();
  const load = role === 'web' && rate !== undefined ? createWebLoad(Number(port), Number(rate)) : undefined;
  const server =
    role === 'api' ? createApiService() : createWebService(/^\d+$/.test(api) ? `http://127.0.0.1:${api}/` : api, load);
  // Longer than any pause of the callers: a connection must not be closed under a request.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(port), host, resolve);
  });
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  if (load !== undefined) {
    void firstAnswer(Number(port), stop.signal).then(() => stop.signal.aborted || load.restart());
    setInterval(() => process.stdout.write(`${trafficLine(load.report())}\n`), SAY_EVERY_MS).unref();
  }
  await aborted(stop.signal);
  await load?.stop();
  // What is under way ends first: a Pod that goes must not cost a request.
  server.close();
  server.closeIdleConnections();
  setTimeout(() => server.closeAllConnections(), 1000).unref();
}
