import 'reflect-metadata';
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { Client, type ClientDuplexStream, credentials, Metadata, status } from '@grpc/grpc-js';
import {
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '@weft/protos/envoy/service/discovery/v3/discovery_pb.js';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../lib/log.ts';
import { createMetrics } from '../lib/metrics.ts';
import { createDataplaneServer, type DataplaneServer, type ServerCertificate } from './dataplane-server.ts';
import { ADS_SERVICE, createXdsServer, type XdsServer, type XdsServerOptions } from './server.ts';
import {
  type Ack,
  type EncodedResource,
  type Nack,
  type ResourceSet,
  TYPE,
  type TypeUrl,
  XdsError,
  type XdsSource,
  type XdsStream,
} from './xds.ts';

let certificate: ServerCertificate;

beforeAll(async () => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

  const cert = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign),
    ],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  certificate = {
    certPem: cert.toString('pem'),
    keyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  };
});

/** A source that hands out one set to everyone and keeps what it is told. */
function createFakeSource() {
  const streams: XdsStream[] = [];
  const acks: Ack[] = [];
  const nacks: Nack[] = [];
  let closed = 0;
  let set: ResourceSet = new Map();
  let refuse: XdsError | undefined;
  let gate: Promise<void> = Promise.resolve();
  const source: XdsSource = {
    async open(stream) {
      await gate;
      if (refuse) throw refuse;
      streams.push(stream);
      stream.setResources(set);
      return {
        onAck: (ack) => acks.push({ ...ack, accepted: new Map(ack.accepted) }),
        onNack: (nack) => nacks.push(nack),
        onClose: () => closed++,
      };
    },
  };
  return {
    source,
    streams,
    acks,
    nacks,
    get closed() {
      return closed;
    },
    set(next: ResourceSet) {
      set = next;
      for (const stream of streams) stream.setResources(next);
    },
    refuse(error: XdsError) {
      refuse = error;
    },
    holdUntil(until: Promise<void>) {
      gate = until;
    },
  };
}

function resource(typeUrl: TypeUrl, name: string, version: string, size = 10): EncodedResource {
  return { name, version, any: toBinary(AnySchema, create(AnySchema, { typeUrl, value: new Uint8Array(size) })) };
}

function setOf(...resources: [TypeUrl, string, string][]): ResourceSet {
  const set = new Map<TypeUrl, Map<string, EncodedResource>>();
  for (const [typeUrl, name, version] of resources) {
    const typed = set.get(typeUrl) ?? new Map();
    typed.set(name, resource(typeUrl, name, version));
    set.set(typeUrl, typed);
  }
  return set;
}

let open: { server: DataplaneServer; xds: XdsServer; clients: Client[] } | undefined;

async function start(source: XdsSource, options: Partial<XdsServerOptions> = {}) {
  const xds = createXdsServer({ source, log: silentLogger, metrics: createMetrics(), ...options });
  const server = await createDataplaneServer({
    tls: certificate,
    http: (request, response) => response.end(`${request.method} ${request.url}`),
    xds,
    host: '127.0.0.1',
    port: 0,
    log: silentLogger,
  });
  open = { server, xds, clients: [] };
  return open;
}

afterEach(async () => {
  for (const client of open?.clients ?? []) client.close();
  await open?.server.close(50);
  open = undefined;
});

const NODE = { id: 'default.web', cluster: 'web' };

/** A message as it travels: not compressed, its length, itself. */
function grpcFrame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** One stream of a real gRPC client, with responses to be awaited one by one. */
function dial(server: DataplaneServer, kind: 'delta' | 'sotw', metadata = new Metadata()) {
  const client = new Client(
    `localhost:${server.address.port}`,
    credentials.createSsl(Buffer.from(certificate.certPem)),
    {
      'grpc.use_local_subchannel_pool': 1,
    },
  );
  open?.clients.push(client);
  const method = kind === 'delta' ? ADS_SERVICE.deltaAggregatedResources : ADS_SERVICE.streamAggregatedResources;
  const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    metadata,
  );
  const queue: Buffer[] = [];
  const waiting: ((bytes: Buffer) => void)[] = [];
  call.on('data', (bytes: Buffer) => {
    const next = waiting.shift();
    if (next) next(bytes);
    else queue.push(bytes);
  });
  const ended = new Promise<{ code: number; details: string }>((resolve) => {
    call.on('error', () => undefined);
    call.on('status', resolve);
  });
  const receive = () =>
    new Promise<Buffer>((resolve) => (queue.length > 0 ? resolve(queue.shift()!) : waiting.push(resolve)));
  return {
    call,
    ended,
    queue,
    delta: (message: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) =>
      void call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, message)))),
    sotw: (message: MessageInitShape<typeof DiscoveryRequestSchema>) =>
      void call.write(Buffer.from(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, message)))),
    receiveDelta: async () => fromBinary(DeltaDiscoveryResponseSchema, await receive()),
    receiveSotw: async () => fromBinary(DiscoveryResponseSchema, await receive()),
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('delta over TLS', () => {
  it('serves, is answered, and then sends only what changed', async () => {
    const fake = createFakeSource();
    fake.set(setOf([TYPE.cluster, 'a', '1'], [TYPE.cluster, 'b', '1'], [TYPE.endpoint, 'a', '1']));
    const { server } = await start(fake.source);
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer x');
    const client = dial(server, 'delta', metadata);
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    const first = await client.receiveDelta();
    expect(first.resources.map((each) => `${each.name} ${each.version}`)).toEqual(['a 1', 'b 1']);
    client.delta({ typeUrl: TYPE.cluster, responseNonce: first.nonce });
    client.delta({ typeUrl: TYPE.endpoint, resourceNamesSubscribe: ['a'] });
    const endpoints = await client.receiveDelta();
    expect(endpoints.resources.map((each) => each.name)).toEqual(['a']);
    await until(() => fake.acks.length === 1);
    expect(fake.acks[0]).toEqual({
      typeUrl: TYPE.cluster,
      nonce: first.nonce,
      accepted: new Map([
        ['a', '1'],
        ['b', '1'],
      ]),
    });
    expect(fake.streams[0]).toMatchObject({ protocol: 'delta', authorization: 'Bearer x', node: NODE });
    fake.set(setOf([TYPE.cluster, 'a', '2'], [TYPE.cluster, 'b', '1'], [TYPE.endpoint, 'a', '1']));
    const second = await client.receiveDelta();
    expect(second.resources.map((each) => `${each.name} ${each.version}`)).toEqual(['a 2']);
    client.call.cancel();
    await until(() => fake.closed === 1);
  });

  it('sends clusters first, listeners when the clusters are accepted and have endpoints, and removes in the other order', async () => {
    const fake = createFakeSource();
    fake.set(setOf([TYPE.cluster, 'a', '1'], [TYPE.endpoint, 'a', '1'], [TYPE.listener, 'l', '1']));
    const { server } = await start(fake.source);
    const client = dial(server, 'delta');
    const seen: string[] = [];
    const step = async () => {
      const response = await client.receiveDelta();
      const names = response.resources
        .map((each) => `+${each.name}`)
        .concat(response.removedResources.map((each) => `-${each}`));
      seen.push(`${response.typeUrl.split('.').at(-1)} ${names.join(' ')}`);
      client.delta({ typeUrl: response.typeUrl, responseNonce: response.nonce });
    };
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    await step();
    client.delta({ typeUrl: TYPE.endpoint, resourceNamesSubscribe: ['a'] });
    await step();
    client.delta({ typeUrl: TYPE.listener });
    await step();
    fake.set(setOf([TYPE.cluster, 'b', '1'], [TYPE.endpoint, 'b', '1'], [TYPE.listener, 'l', '2']));
    await step();
    client.delta({ typeUrl: TYPE.endpoint, resourceNamesSubscribe: ['b'] });
    for (let count = 0; count < 4; count++) await step();
    expect(seen).toEqual([
      'Cluster +a',
      'ClusterLoadAssignment +a',
      'Listener +l',
      'Cluster +b',
      'ClusterLoadAssignment +b',
      'Listener +l',
      'Cluster -a',
      'ClusterLoadAssignment -a',
    ]);
  });

  it('goes on with other types after a refusal and says why', async () => {
    const fake = createFakeSource();
    fake.set(setOf([TYPE.cluster, 'good', '1'], [TYPE.cluster, 'bad', '1'], [TYPE.listener, 'l', '1']));
    const { server } = await start(fake.source);
    const client = dial(server, 'delta');
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    client.delta({ typeUrl: TYPE.listener });
    const first = await client.receiveDelta();
    const message = 'Error adding/updating cluster(s) bad: no';
    client.delta({ typeUrl: TYPE.cluster, responseNonce: first.nonce, errorDetail: { code: 13, message } });
    expect((await client.receiveDelta()).typeUrl).toBe(TYPE.listener);
    expect(fake.nacks).toEqual([{ typeUrl: TYPE.cluster, nonce: first.nonce, names: ['bad'], message }]);
  });

  it('supersedes sets for a client that does not answer', async () => {
    const fake = createFakeSource();
    fake.set(setOf([TYPE.cluster, 'a', '1']));
    const { server } = await start(fake.source);
    const client = dial(server, 'delta');
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    const first = await client.receiveDelta();
    for (let version = 2; version < 50; version++) {
      fake.set(setOf([TYPE.cluster, 'a', String(version)]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.delta({ typeUrl: TYPE.cluster, responseNonce: first.nonce });
    expect((await client.receiveDelta()).resources[0]!.version).toBe('49');
    expect(client.queue).toEqual([]);
  });
});

describe('state of the world over TLS', () => {
  it('serves, is answered, and then sends the whole type again', async () => {
    const fake = createFakeSource();
    fake.set(
      setOf([TYPE.cluster, 'a', '1'], [TYPE.cluster, 'b', '1'], [TYPE.endpoint, 'a', '1'], [TYPE.endpoint, 'b', '1']),
    );
    const { server } = await start(fake.source);
    const client = dial(server, 'sotw');
    client.sotw({ node: NODE, typeUrl: TYPE.cluster });
    const first = await client.receiveSotw();
    expect(first.resources.length).toBe(2);
    client.sotw({ typeUrl: TYPE.cluster, versionInfo: first.versionInfo, responseNonce: first.nonce });
    client.sotw({ typeUrl: TYPE.endpoint, resourceNames: ['a', 'b', 'missing'] });
    const endpoints = await client.receiveSotw();
    expect(endpoints.resources.length).toBe(2);
    client.sotw({
      typeUrl: TYPE.endpoint,
      resourceNames: ['a', 'b', 'missing'],
      versionInfo: endpoints.versionInfo,
      responseNonce: endpoints.nonce,
    });
    fake.set(
      setOf([TYPE.cluster, 'a', '1'], [TYPE.cluster, 'b', '1'], [TYPE.endpoint, 'a', '2'], [TYPE.endpoint, 'b', '1']),
    );
    const changed = await client.receiveSotw();
    expect([changed.typeUrl, changed.resources.length]).toEqual([TYPE.endpoint, 1]);
    fake.set(setOf([TYPE.cluster, 'a', '2'], [TYPE.cluster, 'b', '1']));
    const whole = await client.receiveSotw();
    expect([whole.typeUrl, whole.resources.length]).toEqual([TYPE.cluster, 2]);
    expect(whole.versionInfo).not.toBe(first.versionInfo);
  });
});

describe('a stream is refused', () => {
  const cases: [string, MessageInitShape<typeof DeltaDiscoveryRequestSchema>, number][] = [
    ['without a node', { typeUrl: TYPE.cluster }, status.INVALID_ARGUMENT],
    ['with an empty node id', { node: { cluster: 'x' }, typeUrl: TYPE.cluster }, status.INVALID_ARGUMENT],
  ];
  for (const [title, message, code] of cases) {
    it(title, async () => {
      const { server } = await start(createFakeSource().source);
      const client = dial(server, 'delta');
      client.delta(message);
      expect((await client.ended).code).toBe(code);
    });
  }

  it('by the source, with its code and text', async () => {
    const fake = createFakeSource();
    fake.refuse(new XdsError('unauthenticated', 'token is revoked \ud800'));
    const { server } = await start(fake.source);
    const client = dial(server, 'delta');
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    expect(await client.ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringContaining('token is revoked'),
    });
  });

  it('with a text that can be read as it travels', async () => {
    const fake = createFakeSource();
    const text = 'tag "a/b" is 100 % wrong: [x], "grün"\n';
    fake.refuse(new XdsError('permission-denied', text));
    const { server } = await start(fake.source);
    const client = dial(server, 'delta');
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    expect((await client.ended).details).toBe(text);

    const session = connectHttp2(`https://localhost:${server.address.port}`, { ca: certificate.certPem });
    const stream = session.request({
      ':method': 'POST',
      ':path': ADS_SERVICE.deltaAggregatedResources.path,
      'content-type': 'application/grpc',
    });
    stream.write(
      grpcFrame(
        toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, { node: NODE, typeUrl: TYPE.cluster }),
        ),
      ),
    );
    // Nothing was sent before it: the status travels in the first and only header block ("Trailers-Only").
    const [headers] = await once(stream, 'response');
    expect(headers['grpc-message']).toBe('tag "a/b" is 100 %25 wrong: [x], "gr%C3%BCn"%0A');
    session.destroy();
  });

  it('when the node changes on the way', async () => {
    const fake = createFakeSource();
    const { server } = await start(fake.source);
    const client = dial(server, 'delta');
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    await client.receiveDelta();
    client.delta({ node: { id: 'default.other' }, typeUrl: TYPE.listener });
    expect((await client.ended).code).toBe(status.PERMISSION_DENIED);
    expect(fake.closed).toBe(1);
  });

  it('when the request is no protobuf', async () => {
    const { server } = await start(createFakeSource().source);
    const client = dial(server, 'delta');
    client.call.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    expect((await client.ended).code).toBe(status.INVALID_ARGUMENT);
  });

  it('when the request is larger than 4 MiB', async () => {
    const { server } = await start(createFakeSource().source);
    const client = dial(server, 'delta');
    client.delta({ node: { id: 'x', cluster: 'y'.repeat(4 * 1024 * 1024 + 1) } });
    expect((await client.ended).code).toBe(status.RESOURCE_EXHAUSTED);
  });

  it('when no request comes', async () => {
    const { server } = await start(createFakeSource().source, { limits: { firstRequestTimeoutMs: 10 } });
    const client = dial(server, 'delta');
    expect((await client.ended).code).toBe(status.INVALID_ARGUMENT);
  });

  it('with "unavailable" when the server stops', async () => {
    const fake = createFakeSource();
    const { server } = await start(fake.source);
    const client = dial(server, 'delta');
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    await client.receiveDelta();
    await server.close(100);
    expect((await client.ended).code).toBe(status.UNAVAILABLE);
    expect(fake.closed).toBe(1);
  });

  it('when too many wait to be opened', async () => {
    const fake = createFakeSource();
    const { promise, resolve } = Promise.withResolvers<void>();
    fake.holdUntil(promise);
    const { server, xds } = await start(fake.source, { admission: { maxOpening: 1, maxWaiting: 1 } });
    const clients = [dial(server, 'delta'), dial(server, 'delta'), dial(server, 'delta')];
    for (const client of clients) client.delta({ node: NODE, typeUrl: TYPE.cluster });
    const refused = await Promise.race(clients.map((client) => client.ended));
    expect(refused.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(fake.streams.length).toBe(0);
    resolve();
    await until(() => fake.streams.length === 2);
    expect(xds.streams).toBe(2);
  });
});

describe('the port', () => {
  it('speaks HTTP/1.1 to clients that offer it, with and without ALPN', async () => {
    const { server } = await start(createFakeSource().source);
    for (const ALPNProtocols of [['http/1.1'], ['h2', 'http/1.1'], undefined]) {
      const request = httpsRequest({
        host: '127.0.0.1',
        port: server.address.port,
        path: '/bootstrap',
        method: 'POST',
        ca: certificate.certPem,
        agent: false,
        ...(ALPNProtocols ? { ALPNProtocols } : {}),
      });
      request.end('{}');
      const [response] = await once(request, 'response');
      response.setEncoding('utf8');
      let body = '';
      for await (const part of response) body += part;
      expect(body).toBe('POST /bootstrap');
    }
  });

  it('recognises HTTP/2 from a client without ALPN, even if the preface comes in pieces', async () => {
    const fake = createFakeSource();
    const { server } = await start(fake.source);
    const socket = connectTls({ host: '127.0.0.1', port: server.address.port, ca: certificate.certPem });
    await once(socket, 'secureConnect');
    expect(socket.alpnProtocol).toBe(false);
    const session = connectHttp2('https://localhost', { createConnection: () => socket });
    const stream = session.request({
      ':method': 'POST',
      ':path': ADS_SERVICE.deltaAggregatedResources.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const message = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, { node: NODE, typeUrl: TYPE.cluster }),
    );
    stream.write(grpcFrame(message));
    const [bytes] = await once(stream, 'data');
    expect(fromBinary(DeltaDiscoveryResponseSchema, bytes.subarray(5)).typeUrl).toBe(TYPE.cluster);
    session.destroy();
  });

  it('refuses TLS below 1.2, plaintext and strangers to ALPN', async () => {
    const { server } = await start(createFakeSource().source);
    const port = server.address.port;
    for (const options of [
      { maxVersion: 'TLSv1.1' as const, minVersion: 'TLSv1.1' as const },
      { ALPNProtocols: ['spdy/3'] },
    ]) {
      const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
      const [error] = await once(socket, 'error');
      expect(error).toBeInstanceOf(Error);
    }
    const plain = connect(port, '127.0.0.1');
    plain.on('error', () => undefined);
    plain.write('GET / HTTP/1.1\r\n\r\n');
    await once(plain, 'close');
  });

  it('gives new connections the new certificate', async () => {
    const { server } = await start(createFakeSource().source);
    expect(() => server.setCertificate({ certPem: 'x', keyPem: 'y' })).toThrow();
    server.setCertificate(certificate);
    const socket = connectTls({ host: '127.0.0.1', port: server.address.port, ca: certificate.certPem });
    await once(socket, 'secureConnect');
    expect(socket.authorized).toBe(true);
    socket.destroy();
  });

  it('never resumes a session', async () => {
    const { server } = await start(createFakeSource().source);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { host: '127.0.0.1', port: server.address.port, ca: certificate.certPem, maxVersion };
      const first = connectTls(options);
      const sessions: Buffer[] = [];
      first.on('session', (session) => sessions.push(session));
      await once(first, 'secureConnect');
      first.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      first.resume();
      await once(first, 'close');
      for (const session of sessions) {
        const second = connectTls({ ...options, session });
        await once(second, 'secureConnect');
        expect(second.isSessionReused()).toBe(false);
        second.destroy();
      }
    }
  });

  it('cuts a client that resets streams without end and goes on serving others', async () => {
    const fake = createFakeSource();
    const { server } = await start(fake.source);
    const session = connectHttp2(`https://localhost:${server.address.port}`, { ca: certificate.certPem });
    session.on('error', () => undefined);
    await once(session, 'connect');
    for (let round = 0; round < 100 && !session.destroyed && !session.closed; round++) {
      const streams = Array.from({ length: 50 }, () => {
        const stream = session.request({
          ':method': 'POST',
          ':path': ADS_SERVICE.deltaAggregatedResources.path,
          'content-type': 'application/grpc',
        });
        stream.on('error', () => undefined);
        return stream;
      });
      await new Promise((resolve) => setImmediate(resolve));
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(session.closed || session.destroyed).toBe(true);
    const client = dial(server, 'delta');
    client.delta({ node: NODE, typeUrl: TYPE.cluster });
    await client.receiveDelta();
  });
});

describe('a client that does not read', () => {
  it('is dropped, and gets no second response meanwhile', async () => {
    const fake = createFakeSource();
    const big = () =>
      new Map([[TYPE.cluster, new Map([['a', resource(TYPE.cluster, 'a', String(Math.random()), 30_000_000)]])]]);
    fake.set(big());
    const { server, xds } = await start(fake.source, { limits: { stalledWriteTimeoutMs: 300 } });
    const socket = connectTls({
      host: '127.0.0.1',
      port: server.address.port,
      ca: certificate.certPem,
      ALPNProtocols: ['h2'],
    });
    await once(socket, 'secureConnect');
    const session = connectHttp2('https://localhost', { createConnection: () => socket });
    session.on('error', () => undefined);
    const stream = session.request({
      ':method': 'POST',
      ':path': ADS_SERVICE.deltaAggregatedResources.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined);
    stream.pause();
    const message = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, { node: NODE, typeUrl: TYPE.cluster }),
    );
    stream.write(grpcFrame(message));
    await until(() => fake.streams.length === 1);
    for (let count = 0; count < 10; count++) {
      fake.set(big());
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => fake.closed === 1);
    await until(() => xds.streams === 0);
  });
});
