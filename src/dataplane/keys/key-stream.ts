import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { createLineReader } from '../../key-stream/lines.ts';
import {
  type ControlPlaneMessage,
  type LauncherMessage,
  MAX_LINE_BYTES,
  PROXY_HEADER,
  PROXY_KEYS_PATH,
  PROXY_KEYS_PROTOCOL,
} from '../../key-stream/protocol.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Logger } from '../../lib/log.ts';
import { waitFor } from '../../lib/wait.ts';
import { codeOf, messageOf } from '../error.ts';
import { http } from '../node.ts';

/** Where and as whom a launcher asks for certificates: as its Envoy opens its xDS stream. */
export interface KeyStreamAddress {
  readonly host: string;
  readonly port: number;
  /** PEM that the control plane is verified with. */
  readonly caPem: string;
  /** '' for none. */
  readonly token: string;
  /** `<mesh>.<name>` */
  readonly proxy: string;
}

/** What happens on the stream. */
export interface KeyStreamHandler {
  /** The first message, of each connection anew. */
  hello(): LauncherMessage;
  /** `send` is good until the connection ends, and does nothing after. */
  message(message: ControlPlaneMessage, send: (message: LauncherMessage) => void): void;
  opened(send: (message: LauncherMessage) => void): void;
  closed(): void;
}

const BASE_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
const OPEN_TIMEOUT_MS = 15_000;
/** A control plane that is not heard of for so long after a ping is gone. */
const PING_EVERY_MS = 60_000;
const PONG_WITHIN_MS = 20_000;

/** Keeps one stream open until `signal` aborts: asks again after each end, less and less often. Never rejects. */
export async function keepKeyStream(options: {
  address: KeyStreamAddress;
  handler: KeyStreamHandler;
  log: Logger;
  random: () => number;
  signal: AbortSignal;
}): Promise<void> {
  const { log, signal } = options;
  let failures = 0;
  let told = '';
  while (!signal.aborted) {
    const end = await openOnce(options.address, options.handler, signal);
    if (signal.aborted) return;
    failures = end.opened ? 1 : failures + 1;
    const delayMs = backoffMs(failures, {
      baseMs: BASE_BACKOFF_MS,
      maxMs: MAX_BACKOFF_MS,
      jitter: 0.5,
      random: options.random(),
    });
    // While Envoy is starting the control plane does not know it yet: that is no news.
    const report = failures >= 5 && end.reason !== told ? log.warn : log.debug;
    if (failures >= 5) told = end.reason;
    report('no certificates from the control plane for now; the one in place stays', {
      reason: end.reason,
      retryInMs: Math.round(delayMs),
    });
    if (end.opened) told = '';
    await waitFor(delayMs, signal);
  }
}

interface StreamEnd {
  /** False: it did not come to a stream. */
  readonly opened: boolean;
  readonly reason: string;
}

function openOnce(address: KeyStreamAddress, handler: KeyStreamHandler, signal: AbortSignal): Promise<StreamEnd> {
  return new Promise((resolve) => {
    const failed = (error: unknown) => resolve({ opened: false, reason: messageOf(error) || codeOf(error) });
    const { host, port, caPem } = address;
    const request = http.request({
      // Not node:https, which is megabytes more.
      createConnection: () =>
        process.getBuiltinModule('node:tls').connect({
          host,
          port,
          ca: caPem,
          minVersion: 'TLSv1.2',
          ALPNProtocols: ['http/1.1'],
          ...(process.getBuiltinModule('node:net').isIP(host) === 0 && { servername: host }),
        }),
      path: PROXY_KEYS_PATH,
      headers: {
        host: `${host}:${port}`,
        connection: 'Upgrade',
        upgrade: PROXY_KEYS_PROTOCOL,
        [PROXY_HEADER]: address.proxy,
        ...(address.token && { authorization: address.token }),
      },
      timeout: OPEN_TIMEOUT_MS,
      signal,
    });
    request.once('timeout', () => request.destroy(new Error(`no answer within ${OPEN_TIMEOUT_MS / 1000} s`)));
    request.on('error', failed);
    request.once('response', (response) =>
      readRefusal(response).then((reason) => {
        resolve({ opened: false, reason });
        request.destroy();
      }, failed),
    );
    request.once('upgrade', (_response, socket, head) => {
      request.setTimeout(0);
      runStream(socket, head, handler, signal).then((reason) => resolve({ opened: true, reason }), failed);
    });
    request.end();
  });
}

async function readRefusal(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > 1000) break;
  }
  return `${response.statusCode} ${text.trim().slice(0, 1000)}`;
}

/** Resolves with the reason of its end. */
function runStream(socket: Duplex, head: Buffer, handler: KeyStreamHandler, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const lines = createLineReader(MAX_LINE_BYTES);
    let heard = performance.now();
    let reason = 'the control plane ended the stream';
    const send = (message: LauncherMessage) => {
      if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
    };
    const end = (why: string) => {
      reason = why;
      socket.destroy();
    };
    const take = (chunk: Buffer) => {
      heard = performance.now();
      const found = lines.take(chunk);
      if (found === undefined) return end('the control plane sent a line that is too long');
      for (const line of found) {
        const message = parse(line);
        if (message === undefined) return end('the control plane sent something that is no message');
        if (message.type !== 'pong') handler.message(message, send);
      }
    };
    const pings = setInterval(() => {
      if (performance.now() - heard > PING_EVERY_MS + PONG_WITHIN_MS) end('the control plane does not answer');
      else if (performance.now() - heard >= PING_EVERY_MS) send({ type: 'ping' });
    }, PONG_WITHIN_MS);
    const stop = () => end('told to stop');
    signal.addEventListener('abort', stop);
    socket.on('data', take);
    socket.on('end', () => socket.destroy());
    socket.on('error', (error) => {
      reason = messageOf(error);
    });
    socket.once('close', () => {
      clearInterval(pings);
      signal.removeEventListener('abort', stop);
      handler.closed();
      resolve(reason);
    });
    send(handler.hello());
    handler.opened(send);
    if (head.length > 0) take(head);
  });
}

/** The control plane is trusted, but it may be another version. */
function parse(line: string): ControlPlaneMessage | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'type' in value ? (value as ControlPlaneMessage) : undefined;
  } catch {
    return undefined;
  }
}
