/** Proof that the mesh protects `api`: what is tried here must fail. */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { CLIENT_AUTH, createCertificate, inspectCertificate, KEY_USAGE } from '../x509/certificate.ts';
import { generateEcKey, toPkcs8Pem } from '../x509/key.ts';
import { toPem } from '../x509/pem.ts';

const REQUEST = 'GET / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n';
const PATIENCE_MS = 5000;

/** How a try ended: `refused` with the reason the client saw, or `served` with what came back. */
export type Try =
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'served'; readonly answer: string };

/** One HTTP request in plaintext to an inbound that wants mTLS. */
export function tryPlaintext(port: number): Promise<Try> {
  const socket = connectPlain({ host: '127.0.0.1', port });
  socket.once('connect', () => socket.write(REQUEST));
  return outcomeOf(socket);
}

export interface StrangerTry {
  readonly port: number;
  /** SPIFFE ID that the stranger claims; its certificate is signed by nobody but itself. */
  readonly spiffeId: string;
  /** PEM bundle of the mesh: the stranger does check whom it talks to. */
  readonly meshCa: string;
  readonly serverSpiffeId: string;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** One request over TLS with a certificate that claims the right SPIFFE ID but does not come from the mesh's CA. */
export async function tryStranger(options: StrangerTry): Promise<Try> {
  const keys = generateEcKey();
  const der = await createCertificate({
    subject: '',
    publicKey: keys.publicKey,
    key: keys.privateKey,
    notBefore: options.now - 60_000,
    notAfter: options.now + 3_600_000,
    isCa: false,
    keyUsage: KEY_USAGE.digitalSignature,
    extendedKeyUsage: [CLIENT_AUTH],
    uriSans: [options.spiffeId],
  });
  const socket = connectTls({
    host: '127.0.0.1',
    port: options.port,
    cert: toPem('CERTIFICATE', der),
    key: toPkcs8Pem(keys.privateKey),
    ca: options.meshCa,
    ALPNProtocols: ['kuma'],
    // Its name is a SPIFFE ID, not a host name: checked below, before anything is sent.
    checkServerIdentity: () => undefined,
  });
  socket.once('secureConnect', () => {
    inspectCertificate(socket.getPeerCertificate().raw).then(
      ({ uriSans }) => {
        if (uriSans.includes(options.serverSpiffeId)) socket.write(REQUEST);
        else socket.destroy(new Error('the server has another SPIFFE ID'));
      },
      (error: Error) => socket.destroy(error),
    );
  });
  return outcomeOf(socket);
}

function outcomeOf(socket: Socket): Promise<Try> {
  return new Promise((resolve) => {
    const end = (outcome: Try) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(
      () => end({ kind: 'refused', reason: `no answer within ${PATIENCE_MS / 1000} s` }),
      PATIENCE_MS,
    );
    socket.once('data', (data: Buffer) => end({ kind: 'served', answer: data.toString('latin1').split('\r\n')[0]! }));
    socket.once('error', (error: NodeJS.ErrnoException) => end({ kind: 'refused', reason: reasonOf(error) }));
    socket.once('close', () => end({ kind: 'refused', reason: 'connection closed' }));
  });
}

/** `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA` is "TLS alert: unknown ca". */
function reasonOf(error: NodeJS.ErrnoException): string {
  const alert = /^ERR_SSL_.*ALERT_(.+)$/.exec(error.code ?? '')?.[1];
  if (alert) return `TLS alert: ${alert.toLowerCase().replaceAll('_', ' ')}`;
  return error.code === 'ECONNRESET' ? 'connection reset' : error.message;
}
