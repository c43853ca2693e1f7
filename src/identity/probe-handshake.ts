import { duplexPair } from 'node:stream';
import { connect, createSecureContext, createServer, type TLSSocket } from 'node:tls';
import { inspectCertificate } from '../x509/certificate.ts';

/** A leaf, its key, and what is trusted; PEM. */
export interface ProbeLeaf {
  readonly chainPem: string;
  readonly keyPem: string;
  readonly bundlePem: string;
  readonly spiffeId: string;
}

/** Makes the server take its context from the callback: `createServer` itself has no partial chains. */
const ANY_NAME = 'weft-probe.invalid';

/**
 * One mTLS handshake in memory with the leaf on both sides, by OpenSSL, which sees what our own checks leave to Envoy: name constraints, purposes and
 * policies of intermediates. Resolves to the TLS version; rejects with why one side did not take the other.
 */
export async function probeHandshake(leaf: ProbeLeaf, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const secureContext = createSecureContext({
    cert: leaf.chainPem,
    key: leaf.keyPem,
    ca: leaf.bundlePem,
    minVersion: 'TLSv1.2',
    // An anchor may be an intermediate, as for Envoy.
    allowPartialTrustChain: true,
  });
  // Neither side hangs up by itself, so that each can be asked for its verdict (`checkPeer`).
  const patient = { secureContext, rejectUnauthorized: false } as const;
  const [near, far] = duplexPair();
  const server = createServer({
    ...patient,
    requestCert: true,
    SNICallback: (_name, done) => done(null, secureContext),
  });
  const accepted = Promise.withResolvers<TLSSocket>();
  const connected = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<never>();
  for (const { promise } of [accepted, connected, aborted]) promise.catch(() => undefined);
  server.once('secureConnection', accepted.resolve).once('tlsClientError', accepted.reject);
  server.emit('connection', far);
  const client = connect({ ...patient, socket: near, servername: ANY_NAME, checkServerIdentity: () => undefined });
  client.once('secureConnect', connected.resolve).on('error', connected.reject);
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    const [peer] = await Promise.race([Promise.all([accepted.promise, connected.promise]), aborted.promise]);
    await checkPeer(client, 'server', leaf.spiffeId);
    await checkPeer(peer, 'client', leaf.spiffeId);
    return client.getProtocol() ?? 'TLS';
  } finally {
    signal.removeEventListener('abort', abort);
    client.destroy();
    near.destroy();
    far.destroy();
  }
}

/** `role` is that of the other side. */
async function checkPeer(socket: TLSSocket, role: 'client' | 'server', spiffeId: string): Promise<void> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new Error(`it is not shown as a ${role}`);
  if (!socket.authorized) throw new Error(`it is not taken as a ${role}: ${socket.authorizationError}`);
  const { uriSans } = await inspectCertificate(certificate.raw);
  if (!uriSans.includes(spiffeId)) throw new Error(`as a ${role} it is not ${spiffeId}`);
}
