import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../lib/log.ts';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { createLineReader } from './lines.ts';
import { type LauncherMessage, MAX_LINE_BYTES } from './protocol.ts';
import { createKeyStreamServer, type KeyStream, KeyStreamRefusal, type KeyStreamServer } from './server.ts';

const HELLO = JSON.stringify({ type: 'hello', keys: [] });

let clock: DrivenClock;
let http: Server;
let server: KeyStreamServer;
let streams: KeyStream[];
let messages: LauncherMessage[];
let closed: number;
let refuse: KeyStreamRefusal | undefined;
const sockets: Socket[] = [];

beforeEach(async () => {
  clock = createDrivenClock();
  streams = [];
  messages = [];
  closed = 0;
  refuse = undefined;
  server = createKeyStreamServer({
    source: {
      async open(stream) {
        if (refuse !== undefined) throw refuse;
        streams.push(stream);
        return {
          message: (message) => void messages.push(message),
          closed() {
            closed += 1;
          },
        };
      },
    },
    clock,
    log: silentLogger,
  });
  http = createServer();
  http.on('upgrade', server.upgrade);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
  http.close();
});

/** A client that has asked for a stream. */
async function ask(path = '/proxy-keys', protocol = 'weft-keys') {
  const socket = connect((http.address() as AddressInfo).port, '127.0.0.1');
  sockets.push(socket);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  socket.on('error', () => undefined);
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: cp\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nWeft-Proxy: default.web-1\r\nAuthorization: TOKEN\r\n\r\n`,
  );
  await once(socket, 'data');
  return { socket, text: () => text, ended: once(socket, 'close') };
}

const until = async (check: () => boolean) => {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe('createKeyStreamServer', () => {
  it('hands messages on as they come, however they are cut, and answers pings itself', async () => {
    const client = await ask();
    expect(client.text()).toMatch(/^HTTP\/1\.1 101 /);
    expect(streams[0]).toMatchObject({ proxy: 'default.web-1', authorization: 'TOKEN' });
    client.socket.write(HELLO.slice(0, 10));
    await until(() => client.socket.bytesWritten > 10);
    client.socket.write(`${HELLO.slice(10)}\n{"type":"ping"}\n{"type":"accepted","serial":"0a"}\n`);
    await until(() => messages.length === 2);
    expect(messages).toEqual([
      { type: 'hello', keys: [] },
      { type: 'accepted', serial: '0a' },
    ]);
    await until(() => client.text().endsWith('{"type":"pong"}\n'));
    client.socket.end();
    await until(() => closed === 1);
  });

  it.each([
    ['what is no JSON', 'hello'],
    ['what is no message', '{"type":"give-me-a-key"}'],
    ['a key id that is none', '{"type":"hello","keys":["x"]}'],
    ['far too many keys', JSON.stringify({ type: 'hello', keys: Array(50).fill('a'.repeat(64)) })],
    ['a key that is no base64', '{"type":"request","id":1,"publicKey":"?","signature":""}'],
    ['a line without an end', 'x'.repeat(MAX_LINE_BYTES + 10)],
  ])('ends who sends %s', async (_what, line) => {
    const client = await ask();
    client.socket.write(`${line}\n`);
    await client.ended;
    await until(() => closed === 1);
    expect(messages).toEqual([]);
  });

  it('ends who says nothing', async () => {
    const client = await ask();
    await clock.advance(10_000);
    await client.ended;
  });

  it('says why there is no stream', async () => {
    expect((await ask('/other')).text()).toMatch(/^HTTP\/1\.1 400 /);
    expect((await ask('/proxy-keys', 'websocket')).text()).toMatch(/^HTTP\/1\.1 400 /);
    refuse = new KeyStreamRefusal(403, 'the token is for another proxy');
    const refused = await ask();
    expect(refused.text()).toMatch(/^HTTP\/1\.1 403 .*the token is for another proxy$/s);
    await refused.ended;
  });
});

describe('createLineReader', () => {
  it('gives lines, also those that come in pieces', () => {
    const lines = createLineReader(10);
    expect(lines.take(Buffer.from('ab'))).toEqual([]);
    expect(lines.take(Buffer.from('c\n\nd\ne'))).toEqual(['abc', '', 'd']);
    expect(lines.take(Buffer.from('12345678\n'))).toEqual(['e12345678']);
    expect(lines.take(Buffer.from('x'.repeat(11)))).toBeUndefined();
  });
});
