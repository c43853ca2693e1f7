import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ControlPlaneMessage, LauncherMessage } from '../../key-stream/protocol.ts';
import {
  createKeyStreamServer,
  type KeyStream,
  KeyStreamRefusal,
  type KeyStreamServer,
} from '../../key-stream/server.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { createTestCa, createTestLeaf, type TestCertificate } from '../../testing/certificates.ts';
import { keepKeyStream } from './key-stream.ts';

const KEY = 'a'.repeat(64);
let ca: TestCertificate;
let leaf: TestCertificate;
let https: Server;
let server: KeyStreamServer;
let streams: KeyStream[];
let heard: LauncherMessage[];
let refuse: KeyStreamRefusal | undefined;
let got: ControlPlaneMessage[];
let closed: number;
let logged: string[];
let stop: AbortController;
let running: Promise<void>;

beforeAll(async () => {
  ca = await createTestCa({ uriSans: [] });
  leaf = await createTestLeaf(ca, { uriSans: [], dnsSans: ['localhost'] });
});
beforeEach(async () => {
  streams = [];
  heard = [];
  got = [];
  logged = [];
  closed = 0;
  refuse = undefined;
  stop = new AbortController();
  running = Promise.resolve();
  server = createKeyStreamServer({
    source: {
      async open(stream) {
        streams.push(stream);
        if (refuse !== undefined) throw refuse;
        return { message: (message) => void heard.push(message), closed: () => undefined };
      },
    },
    clock: systemClock,
    log: silentLogger,
  });
  https = createServer({ cert: leaf.pem, key: leaf.keyPem });
  https.on('upgrade', server.upgrade);
  https.listen(0, '127.0.0.1');
  await once(https, 'listening');
});
afterEach(async () => {
  stop.abort();
  await running;
  server.close();
  https.close();
});

function connect(caPem = ca.pem): void {
  const log = {
    ...silentLogger,
    warn: (text: string, fields?: object) => void logged.push(`${text} ${JSON.stringify(fields)}`),
  };
  running = keepKeyStream({
    address: {
      host: 'localhost',
      port: (https.address() as AddressInfo).port,
      caPem,
      token: 'TOKEN',
      proxy: 'default.web-1',
    },
    handler: {
      hello: () => ({ type: 'hello', keys: [KEY] }),
      opened: () => undefined,
      message(message, send) {
        got.push(message);
        send({ type: 'accepted', serial: '0a' });
      },
      closed() {
        closed += 1;
      },
    },
    log,
    random: () => 0.9,
    signal: stop.signal,
  });
}

const until = async (check: () => boolean) => {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe('keepKeyStream', () => {
  it('says who it is, takes messages and answers them', async () => {
    connect();
    await until(() => heard.length === 1);
    expect(streams[0]).toMatchObject({ proxy: 'default.web-1', authorization: 'TOKEN' });
    expect(heard).toEqual([{ type: 'hello', keys: [KEY] }]);
    const message = { type: 'leaf' as const, key: KEY, serial: '0a', chainPem: 'CHAIN', anchorPem: 'ANCHOR' };
    streams[0]!.send(message);
    await until(() => heard.length === 2);
    expect(got).toEqual([message]);
    expect(heard[1]).toEqual({ type: 'accepted', serial: '0a' });
  });

  it('comes again after an end, and says hello again', async () => {
    connect();
    await until(() => heard.length === 1);
    streams[0]!.end('another launcher came');
    await until(() => heard.length === 2);
    expect(heard[1]).toEqual({ type: 'hello', keys: [KEY] });
    expect(closed).toBe(1);
  });

  it('asks again after a refusal, and says the reason once', async () => {
    refuse = new KeyStreamRefusal(404, 'no xDS stream here');
    connect();
    await until(() => streams.length === 6);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain('404 no xDS stream here');
    refuse = undefined;
    await until(() => heard.length === 1);
  });

  it('shows its token to nobody who is not the control plane', async () => {
    connect((await createTestCa()).pem);
    await until(() => logged.length === 1);
    expect(streams).toEqual([]);
    expect(logged[0]).toMatch(/certificate/);
  });

  it('ends when it is told to, also while it waits', async () => {
    refuse = new KeyStreamRefusal(404, 'no xDS stream here');
    connect();
    await until(() => streams.length === 2);
    stop.abort();
    await running;
    expect(streams).toHaveLength(2);
  });
});
