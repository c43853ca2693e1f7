import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import { createTestCa, createTestLeaf } from '../testing/certificates.ts';
import { tryPlaintext, tryStranger } from './refusals.ts';

let server: Server;
afterEach(() => void server.close());

async function listen(made: Server): Promise<number> {
  server = made;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const serverId = 'spiffe://default/api';
async function tlsServer(requestCert: boolean, uri = serverId) {
  const ca = await createTestCa();
  const leaf = await createTestLeaf(ca, { uriSans: [uri] });
  const made = createTlsServer(
    { cert: leaf.pem, key: leaf.keyPem, ca: ca.pem, requestCert, rejectUnauthorized: requestCert },
    (socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\n'));
      socket.on('error', () => {});
    },
  );
  const port = await listen(made);
  return () =>
    tryStranger({ port, spiffeId: 'spiffe://default/web', serverSpiffeId: serverId, meshCa: ca.pem, now: Date.now() });
}

it('sees that plaintext is served', async () => {
  const port = await listen(createHttpServer((_, outgoing) => outgoing.end('hello')));
  expect(await tryPlaintext(port)).toEqual({ kind: 'served', answer: 'HTTP/1.1 200 OK' });
});

it('sees that a stranger is served', async () => {
  const attempt = await tlsServer(false);
  expect(await attempt()).toEqual({ kind: 'served', answer: 'HTTP/1.1 200 OK' });
});

it('sees that a stranger and plaintext are refused by mTLS', async () => {
  const attempt = await tlsServer(true);
  expect(await attempt()).toMatchObject({ kind: 'refused' });
  expect(await tryPlaintext((server.address() as AddressInfo).port)).toMatchObject({ kind: 'refused' });
});

it('tells a server that is not api', async () => {
  const attempt = await tlsServer(false, 'spiffe://default/other');
  expect(await attempt()).toEqual({ kind: 'refused', reason: 'the server has another SPIFFE ID' });
});
