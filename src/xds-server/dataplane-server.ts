/**
 * The port that proxies talk to: one TLS port for gRPC (xDS) and plain HTTPS (`POST /bootstrap`).
 * Source: Kuma 2.11 dp-server (port 5678). ALPN decides; a client that offers none is told by its first bytes.
 */
import { constants } from 'node:crypto';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Logger } from '../lib/log.ts';
import type { XdsServer } from './server.ts';

export interface ServerCertificate {
  /** PEM, leaf first. */
  readonly certPem: string;
  readonly keyPem: string;
}

export interface DataplaneServerOptions {
  readonly tls: ServerCertificate;
  /** Answers everything that is not gRPC. */
  readonly http: RequestListener;
  /** Takes connections whose client asks for another protocol (`Upgrade`); absent: they are answered like any other. */
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly xds: XdsServer;
  /** '': every address of the machine, IPv6 included. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly log: Logger;
  /** Default TLSv1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL names; Node's choice when absent. */
  readonly ciphers?: string;
  /** Connections over this are closed at once. Default 20 000. */
  readonly maxConnections?: number;
}

export interface DataplaneServer {
  readonly address: AddressInfo;
  /** New connections get this certificate; open ones stay. Throws when it can't be used, and the old one stays. */
  setCertificate(certificate: ServerCertificate): void;
  /** Stops listening, ends the streams (see `XdsServer.close`) and drops what is left. Harmless twice. */
  close(graceMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Time for the handshake, and again for the first bytes of a client without ALPN. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
const PROTOCOLS = ['http/1.1', 'h2'];
const H2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Opens the port; rejects with the system's error when it is taken. Closing it closes `xds` too. */
export async function createDataplaneServer(options: DataplaneServerOptions): Promise<DataplaneServer> {
  const log = options.log.named('dataplane-server');
  const http = createHttpServer(
    {
      maxHeaderSize: 16 * 1024,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      keepAliveTimeout: 15_000,
      connectionsCheckingInterval: 5000,
    },
    options.http,
  );
  http.maxRequestsPerSocket = 1000;
  if (options.upgrade !== undefined) http.on('upgrade', options.upgrade);
  // It never listens by itself; this starts its checks for slow requests.
  http.emit('listening');
  const sockets = new Set<Socket>();

  const server = createTlsServer(
    {
      cert: options.tls.certPem,
      key: options.tls.keyPem,
      minVersion: options.minVersion ?? 'TLSv1.2',
      ...(options.ciphers ? { ciphers: options.ciphers } : {}),
      // Clients that speak both get HTTP/1.1; gRPC clients offer only h2. A list instead of a function would make Node copy it for each
      // connection into its buffer pool and so pin a 64 KB slab for every few connections.
      ALPNCallback: ({ protocols }) => PROTOCOLS.find((protocol) => protocols.includes(protocol)),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      // No resumption: a session must not outlive the trust it was made under.
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    },
    (socket) => {
      socket.on('error', (error) => log.debug('connection broke', { peer: socket.remoteAddress, error }));
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 30_000);
      if (socket.alpnProtocol === 'h2') options.xds.accept(socket);
      else if (socket.alpnProtocol === 'http/1.1') http.emit('connection', socket);
      else peek(socket);
    },
  );
  server.maxConnections = options.maxConnections ?? 20_000;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', (error, socket) =>
    log.debug('TLS handshake failed', { peer: socket.remoteAddress, error }),
  );

  /** No ALPN: HTTP/2 when the connection starts with its preface, else HTTP/1.1. */
  function peek(socket: TLSSocket): void {
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => socket.destroy());
    const look = (): void => {
      const seen: Buffer | null = socket.read();
      if (seen === null) return;
      const length = Math.min(seen.length, H2_PREFACE.length);
      const matches = seen.subarray(0, length).equals(H2_PREFACE.subarray(0, length));
      socket.unshift(seen);
      if (matches && length < 3) return;
      socket.off('readable', look);
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      if (matches) {
        // What http2 asks the socket for.
        socket.alpnProtocol = 'h2';
        options.xds.accept(socket);
      } else http.emit('connection', socket);
    };
    socket.on('readable', look);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...(options.host === '' ? {} : { host: options.host }), port: options.port, backlog: 4096 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => log.error('accept connection', { error }));

  let closing: Promise<void> | undefined;
  async function close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    http.close(() => undefined);
    http.closeIdleConnections();
    await options.xds.close(graceMs);
    http.closeAllConnections();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  const result: DataplaneServer = {
    // A TCP server that listens has an address of this form.
    address: server.address() as AddressInfo,
    setCertificate: ({ certPem, keyPem }) =>
      server.setSecureContext({
        cert: certPem,
        key: keyPem,
        minVersion: options.minVersion ?? 'TLSv1.2',
        ...(options.ciphers ? { ciphers: options.ciphers } : {}),
        secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
      }),
    close(graceMs = 2000) {
      closing ??= close(graceMs);
      return closing;
    },
    [Symbol.asyncDispose]: () => result.close(),
  };
  return result;
}
