import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, LookupFunction, Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf } from '../testing/certificates.ts';
import { SERVER_AUTH } from '../x509/certificate.ts';
import { createEgress, type EgressTls } from './egress.ts';

const open: { close: () => unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return (server.address() as AddressInfo).port;
}

const serve = (listener: RequestListener) => listen(createServer(listener));
const signal = () => AbortSignal.timeout(15_000);

function client(options: { allow?: string[]; lookup?: LookupFunction; tls?: EgressTls } = {}) {
  const { allow = ['127.0.0.1'], lookup, tls } = options;
  const egress = createEgress({ allowedEndpoints: allow, ...(lookup && { lookup }) });
  const made = egress.createClient(tls === undefined ? {} : { tls });
  open.push(made);
  return made;
}

/** Answers with one address after the other, the last one from then on. */
function rebinding(...addresses: string[]): LookupFunction {
  let calls = 0;
  return (_host, options, callback) => {
    const address = addresses[Math.min(calls, addresses.length - 1)]!;
    calls += 1;
    if (options.all === true) callback(null, [{ address, family: 4 }]);
    else callback(null, address, 4);
  };
}

describe('a call of a CA backend', () => {
  it('brings the answer, whatever its status', async () => {
    const port = await serve((request, response) => {
      response.writeHead(403, { 'x-seen': `${request.method} ${request.url} ${request.headers['x-vault-token']}` });
      request.pipe(response);
    });
    const answer = await client().send({
      method: 'POST',
      url: `http://127.0.0.1:${port}/v1/pki?x=1`,
      headers: { 'x-vault-token': 'abc' },
      body: 'hello',
      signal: signal(),
    });
    expect(answer.status).toBe(403);
    expect(answer.headers['x-seen']).toBe('POST /v1/pki?x=1 abc');
    expect(String(answer.body)).toBe('hello');
  });

  it('S5 egress: does not follow a redirect', async () => {
    const port = await serve((_request, response) => {
      response.writeHead(307, { location: 'http://169.254.169.254/latest' }).end();
    });
    const answer = await client().send({ method: 'GET', url: `http://127.0.0.1:${port}/`, signal: signal() });
    expect(answer.status).toBe(307);
  });

  it.each(['http://127.0.0.1:1/', 'http://169.254.169.254/', 'file:///etc/passwd', 'unix:/run/docker.sock'])(
    'S5 egress: is not made to %s unless it is allowed',
    async (url) => {
      const call = client({ allow: [] }).send({ method: 'GET', url, signal: signal() });
      await expect(call).rejects.toMatchObject({ code: 'forbidden', reason: 'EndpointNotAllowed' });
    },
  );

  it('S5 egress: is not made where a name leads to a refused address, and the fix names the setting', async () => {
    const lookup = rebinding('169.254.169.254');
    const call = client({ allow: [], lookup }).send({
      method: 'GET',
      url: 'http://vault.test:8200/',
      signal: signal(),
    });
    await expect(call).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringMatching(/vault\.test \(169\.254\.169\.254\)/),
      fix: 'weft:\n  ca:\n    allowedEndpoints: ["vault.test:8200"]\n',
    });
  });

  it('S5 egress: is judged again at the next connection, so a name that leads elsewhere by then does not pass', async () => {
    let hits = 0;
    const port = await serve((_request, response) => {
      hits += 1;
      response.setHeader('connection', 'close').end('ok');
    });
    const lookup = rebinding('127.0.0.1', '127.0.0.2');
    const one = client({ allow: ['127.0.0.1'], lookup });
    const url = `http://vault.test:${port}/`;
    expect((await one.send({ method: 'GET', url, signal: signal() })).status).toBe(200);
    await expect(one.send({ method: 'GET', url, signal: signal() })).rejects.toMatchObject({ code: 'forbidden' });
    expect(hits).toBe(1);
  });

  it('S5 egress: refuses an answer of more than 1 MB while it is read', async () => {
    let ended = false;
    const port = await serve((_request, response) => {
      const piece = Buffer.alloc(256 * 1024, 'x');
      const more = () => {
        while (!ended && response.write(piece));
      };
      response.on('drain', more).on('close', () => {
        ended = true;
      });
      more();
    });
    const call = client().send({ method: 'GET', url: `http://127.0.0.1:${port}/`, signal: signal() });
    await expect(call).rejects.toMatchObject({ code: 'invalid-answer', reason: 'AnswerTooLarge' });
  });

  it('ends with the deadline of the caller, before and during the answer', async () => {
    const silent = await serve(() => undefined);
    const begun = await serve((_request, response) => {
      response.write('a');
    });
    for (const port of [silent, begun]) {
      const call = client().send({
        method: 'GET',
        url: `http://127.0.0.1:${port}/`,
        signal: AbortSignal.timeout(200),
      });
      await expect(call).rejects.toMatchObject({ code: 'timeout' });
    }
  });

  it('says that nothing listens, that the other side hangs up, and that it speaks no HTTP', async () => {
    const closing = await listen(createTcpServer((socket) => socket.destroy()));
    const garbage = await listen(
      createTcpServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-x\r\n\r\n')),
    );
    const reasons = [];
    for (const port of [1, closing, garbage]) {
      const call = client().send({ method: 'GET', url: `http://127.0.0.1:${port}/`, signal: signal() });
      reasons.push(
        await call.then(
          () => 'none',
          ({ reason }) => reason,
        ),
      );
    }
    expect(reasons).toEqual(['ConnectionRefused', 'ConnectionLost', 'NotHttp']);
  });

  it('says what is wrong with the TLS of the other side', async () => {
    const ca = await createTestCa();
    const names = { extendedKeyUsage: [SERVER_AUTH], uriSans: [], dnsSans: ['vault.test'] };
    const good = await createTestLeaf(ca, names);
    const old = await createTestLeaf(ca, { ...names, from: -7_200_000, to: -3_600_000 });
    const lookup = rebinding('127.0.0.1');
    const reasonOf = async (leaf: typeof good, tls: EgressTls, host = 'vault.test', scheme = 'https') => {
      const server = createTlsServer({ cert: leaf.pem, key: leaf.keyPem }, (_request, response) => response.end('ok'));
      const url = `${scheme}://${host}:${await listen(server)}/`;
      return client({ lookup, tls })
        .send({ method: 'GET', url, signal: signal() })
        .then(
          ({ status }) => status,
          ({ reason }) => reason,
        );
    };
    expect(await reasonOf(good, { ca: ca.pem })).toBe(200);
    expect(await reasonOf(good, { ca: ca.pem, servername: 'vault.test' }, 'other.test')).toBe(200);
    expect(await reasonOf(good, { ca: ca.pem }, 'other.test')).toBe('TlsWrongName');
    expect(await reasonOf(good, {})).toBe('TlsUnknownAuthority');
    expect(await reasonOf(old, { ca: ca.pem })).toBe('TlsExpired');
    expect(await reasonOf(good, { rejectUnauthorized: false }, 'other.test')).toBe(200);
    const plain = await serve((_request, response) => response.end('ok'));
    const call = client({ tls: {} }).send({ method: 'GET', url: `https://127.0.0.1:${plain}/`, signal: signal() });
    await expect(call).rejects.toMatchObject({ reason: 'NotTls' });
  });
});
