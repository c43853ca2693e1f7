/** Serves key streams (`protocol.ts`) on connections that an HTTP server hands over. It knows nothing of meshes. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { createLineReader } from './lines.ts';
import { parseLauncherMessage } from './parse.ts';
import {
  type ControlPlaneMessage,
  type LauncherMessage,
  MAX_LINE_BYTES,
  PROXY_HEADER,
  PROXY_KEYS_PATH,
  PROXY_KEYS_PROTOCOL,
} from './protocol.ts';

/** One launcher, as its handler sees it. */
export interface KeyStream {
  /** `<mesh>.<name>`, as the launcher says. */
  readonly proxy: string;
  /** Value of the `authorization` header, without change; '' when absent. */
  readonly authorization: string;
  /** `address:port` */
  readonly peer: string;
  send(message: ControlPlaneMessage): void;
  /** Ends the stream; the launcher comes again. */
  end(reason: string): void;
}

/** What happens on a stream; nothing after `closed`. */
export interface KeyStreamHandler {
  message(message: LauncherMessage): void;
  closed(): void;
}

/** Why a launcher gets no stream. `status` is that of HTTP. */
export class KeyStreamRefusal extends Error {
  readonly status: 400 | 401 | 403 | 404 | 409 | 503;
  constructor(status: KeyStreamRefusal['status'], message: string) {
    super(message);
    this.name = 'KeyStreamRefusal';
    this.status = status;
  }
}

/** Who decides what a launcher gets. `open` may wait. Throws `KeyStreamRefusal`. */
export interface KeyStreamSource {
  open(stream: KeyStream, signal: AbortSignal): Promise<KeyStreamHandler>;
}

export interface KeyStreamServer {
  /** Takes over a connection whose client asks for another protocol: an HTTP server's `upgrade` event. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): void;
}

/** Half-open connections are noticed by TCP: this long without a word, then ten probes a second apart (libuv). Milliseconds. */
const KEEPALIVE_MS = 30_000;
const HELLO_TIMEOUT_MS = 10_000;

export function createKeyStreamServer(options: {
  source: KeyStreamSource;
  clock: Clock;
  log: Logger;
}): KeyStreamServer {
  const { source, clock, log } = options;
  const sockets = new Set<Duplex>();

  async function serve(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const gone = new AbortController();
    let handler: KeyStreamHandler | undefined;
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      gone.abort();
      handler?.closed();
    });
    if (request.url !== PROXY_KEYS_PATH || request.headers.upgrade !== PROXY_KEYS_PROTOCOL) {
      throw new KeyStreamRefusal(400, `upgrade to ${PROXY_KEYS_PROTOCOL} at ${PROXY_KEYS_PATH} is all there is`);
    }
    const { remoteAddress, remotePort } = request.socket;
    const stream: KeyStream = {
      proxy: String(request.headers[PROXY_HEADER] ?? ''),
      authorization: request.headers.authorization ?? '',
      peer: `${remoteAddress}:${remotePort}`,
      send: (message) => void (socket.writable && socket.write(`${JSON.stringify(message)}\n`)),
      end(reason) {
        log.debug('key stream ended', { proxy: stream.proxy, peer: stream.peer, reason });
        socket.destroy();
      },
    };
    const opened = await source.open(stream, gone.signal);
    if (gone.signal.aborted) {
      opened.closed();
      return;
    }
    handler = opened;
    request.socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.write(`HTTP/1.1 101 ${STATUS_CODES[101]}\r\nConnection: Upgrade\r\nUpgrade: ${PROXY_KEYS_PROTOCOL}\r\n\r\n`);
    read(stream, socket, head, opened);
  }

  function read(stream: KeyStream, socket: Duplex, head: Buffer, handler: KeyStreamHandler): void {
    const lines = createLineReader(MAX_LINE_BYTES);
    const silent = clock.after(HELLO_TIMEOUT_MS, () => stream.end('it says nothing'));
    socket.once('close', () => silent.cancel());
    const take = (chunk: Buffer): void => {
      const found = lines.take(chunk);
      for (const line of found ?? []) {
        if (socket.destroyed) return;
        silent.cancel();
        const message = parseLauncherMessage(line);
        if (message === undefined) stream.end('it sent something that is no message');
        else if (message.type === 'ping') stream.send({ type: 'pong' });
        else handler.message(message);
      }
      if (found === undefined) stream.end('it sent a line that is too long');
    };
    socket.on('data', take);
    socket.on('end', () => socket.destroy());
    if (head.length > 0) take(head);
  }

  return {
    upgrade(request, socket, head) {
      socket.on('error', (error) => log.debug('key stream broke', { error }));
      serve(request, socket, head).catch((error: unknown) => {
        const refusal = error instanceof KeyStreamRefusal ? error : undefined;
        if (refusal === undefined) log.error('opening a key stream failed', { error });
        refuse(socket, refusal ?? new KeyStreamRefusal(503, 'internal error; see the log of the control plane'));
      });
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function refuse(socket: Duplex, { status, message }: KeyStreamRefusal): void {
  const text = Buffer.from(message);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n`;
  socket.end(Buffer.concat([Buffer.from(head), text]));
}
