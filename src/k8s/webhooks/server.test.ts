import { Agent, request } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { createMetrics } from '../../lib/metrics.ts';
import { StoreError } from '../../store/store.ts';
import { admissionReview, webhookContext } from '../../testing/admission.ts';
import { createCa, createTlsLeaf, type TlsPair } from '../../x509/tls-pair.ts';
import { createDefaultWebhook } from './default-resource.ts';
import { createWebhookMetrics } from './metrics.ts';
import { createOwnerReferenceWebhook } from './owner-reference.ts';
import { type AdmissionServer, startAdmissionServer } from './server.ts';
import { createValidateWebhook } from './validate-resource.ts';
import { createSecretWebhook } from './validate-secret.ts';
import type { Webhook } from './verdict.ts';

const metrics = createMetrics();
const logged: string[] = [];
const log = {
  ...silentLogger,
  info: (message: string, fields: unknown) => void logged.push(message + JSON.stringify(fields)),
  warn: (message: string, fields: unknown) => void logged.push(message + JSON.stringify(fields)),
};
let ca: TlsPair;
let server: AdmissionServer;
let agent: Agent;

const pairOf = (authority: TlsPair) =>
  createTlsLeaf(authority, { subject: 'CN=t', names: ['127.0.0.1'], usage: 'server', now: Date.now(), lifeMs: 60_000 });

beforeAll(async () => {
  ca = await createCa('CN=ca', Date.now(), 600_000);
  const context = webhookContext();
  const webhooks: Webhook[] = [
    createDefaultWebhook(context),
    createOwnerReferenceWebhook(context),
    createValidateWebhook(context),
    createSecretWebhook(context),
    {
      path: '/fails',
      name: 'fails',
      handle: async ({ name }) => {
        if (name === 'store') throw new StoreError('unavailable', 'gone');
        if (name === 'slow') await new Promise(() => undefined);
        throw new Error('a secret: hunter2');
      },
    },
  ];
  server = await startAdmissionServer({
    host: '127.0.0.1',
    port: 0,
    certificate: await pairOf(ca),
    minVersion: 'TLSv1.2',
    webhooks,
    log,
    metrics: createWebhookMetrics(
      metrics,
      webhooks.map(({ name }) => name),
    ),
    answerTimeoutMs: 200,
  });
  agent = new Agent({ ca: ca.certPem, keepAlive: true });
});
afterAll(async () => {
  agent.destroy();
  await server.close(0);
});

function call(
  path: string,
  body: string | Buffer,
  options: { method?: string; type?: string } = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: server.address.port,
        path,
        agent,
        method: options.method ?? 'POST',
        headers: { 'content-type': options.type ?? 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const mesh = { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', metadata: { name: 'm' }, spec: {} };
const VALIDATE = '/validate-kuma-io-v1alpha1';

describe('admission server', () => {
  it('answers an AdmissionReview with one of the same uid', async () => {
    const { status, text } = await call(`${VALIDATE}?timeout=10s`, JSON.stringify(admissionReview(mesh)));
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'uid-1', allowed: true },
    });
  });

  it('puts the patch in base64', async () => {
    const policy = { ...mesh, kind: 'MeshTrafficPermission', metadata: { name: 'p', namespace: 'shop' } };
    const { text } = await call('/owner-reference-kuma-io-v1alpha1', JSON.stringify(admissionReview(policy)));
    const { response } = JSON.parse(text);
    expect(response).toMatchObject({ allowed: true, patchType: 'JSONPatch' });
    expect(JSON.parse(Buffer.from(response.patch, 'base64').toString())).toMatchObject([
      { op: 'add', path: '/metadata/ownerReferences' },
    ]);
  });

  it.each<[string, string, string | Buffer, { method?: string; type?: string }, number]>([
    ['another path', '/none', '{}', {}, 404],
    ['GET', VALIDATE, '', { method: 'GET' }, 405],
    ['a form', VALIDATE, 'a=b', { type: 'application/x-www-form-urlencoded' }, 415],
    ['no JSON', VALIDATE, '{"data": "c2VjcmV0" oops', {}, 400],
    ['no AdmissionReview', VALIDATE, '{"data": "c2VjcmV0"}', {}, 400],
    [
      'an old version',
      VALIDATE,
      JSON.stringify({ ...admissionReview(mesh), apiVersion: 'admission.k8s.io/v1beta1' }),
      {},
      400,
    ],
    ['too much', VALIDATE, Buffer.alloc(8 * 1024 * 1024 + 1, 32), {}, 413],
    [
      'a store that is away',
      '/fails',
      JSON.stringify(admissionReview({ ...mesh, metadata: { name: 'store' } })),
      {},
      503,
    ],
    ['an error', '/fails', JSON.stringify(admissionReview(mesh)), {}, 500],
    [
      'an answer that does not come',
      '/fails',
      JSON.stringify(admissionReview({ ...mesh, metadata: { name: 'slow' } })),
      {},
      504,
    ],
  ])('answers %s with its status, and repeats nothing of the body', async (_what, path, body, options, expected) => {
    const { status, text } = await call(path, body, options);
    expect(status).toBe(expected);
    expect(text).not.toMatch(/c2VjcmV0|hunter2/);
  });

  it('logs and counts, without the object', async () => {
    const broken = { ...mesh, spec: { mtls: { enabledBackend: 'x' } }, data: 'c2VjcmV0' };
    await call(VALIDATE, JSON.stringify(admissionReview(broken)));
    expect(logged.find((line) => line.startsWith('write refused'))).toContain('"kind":"Mesh"');
    expect(logged.join()).not.toContain('c2VjcmV0');
    const text = await metrics.metrics();
    expect(text).toMatch(/weft_webhook_requests_total\{webhook="validate",outcome="refused"\} [1-9]/);
    expect(text).toMatch(/weft_webhook_requests_total\{webhook="fails",outcome="failed"\} 3/);
    expect(text).toMatch(/weft_webhook_request_duration_seconds_count\{webhook="validate"\} [1-9]/);
  });

  it('leaves a connection open that has not been used yet', async () => {
    const socket = connect({ port: server.address.port, host: '127.0.0.1', ca: ca.certPem });
    try {
      // Longer than what a web server gives a client until it sends something.
      await new Promise((resolve) => setTimeout(resolve, 11_000));
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
      const answer = await new Promise((resolve) => socket.once('data', (data) => resolve(data.toString())));
      expect(answer).toContain('HTTP/1.1 404');
    } finally {
      socket.destroy();
    }
  }, 30_000);

  it('shows a new certificate to new connections, and goes on with the old ones', async () => {
    const issuerOf = (socket: TLSSocket) => socket.getPeerCertificate().issuer.CN;
    const open = (): Promise<TLSSocket> =>
      new Promise((resolve) => {
        const socket = connect({ port: server.address.port, host: '127.0.0.1', rejectUnauthorized: false }, () =>
          resolve(socket),
        );
      });
    const before = await open();
    const old = await pairOf(ca);
    const next = await createCa('CN=next', Date.now(), 600_000);
    server.setCertificate(await pairOf(next));
    const after = await open();
    expect([issuerOf(before), issuerOf(after)]).toEqual(['ca', 'next']);
    before.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(await new Promise((resolve) => before.once('data', (data) => resolve(data.toString().slice(0, 12))))).toBe(
      'HTTP/1.1 404',
    );
    server.setCertificate(old);
    before.destroy();
    after.destroy();
  });
});

describe('any body', () => {
  const paths = [
    '/default-kuma-io-v1alpha1-mesh',
    '/owner-reference-kuma-io-v1alpha1',
    VALIDATE,
    '/validate-v1-secret',
  ];
  const wellFormed = ({ status, text }: { status: number; text: string }) => {
    expect([200, 400]).toContain(status);
    if (status === 400) return;
    const review = JSON.parse(text);
    expect(review).toMatchObject({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' });
    const { uid, allowed, status: refusal, patch } = review.response;
    expect(typeof uid).toBe('string');
    expect(typeof allowed).toBe('boolean');
    if (!allowed) expect([400, 403, 422]).toContain(refusal.code);
    if (patch !== undefined) expect(Array.isArray(JSON.parse(Buffer.from(patch, 'base64').toString()))).toBe(true);
  };

  it('gets a well-formed answer or 400: bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.uint8Array({ minLength: 1 }), async (path, bytes) => {
        wellFormed(await call(path, Buffer.from(bytes)));
      }),
      { numRuns: 50 },
    );
  });

  it('gets a well-formed answer or 400: reviews of odd objects', async () => {
    const word = fc.constantFrom(
      'Mesh',
      'Dataplane',
      'MeshTrafficPermission',
      'Secret',
      'Pod',
      'SealedLeaf',
      'Zone',
      '',
      'constructor',
    );
    const odd = fc.jsonValue({ maxDepth: 4 });
    const labels = fc.oneof(
      odd,
      fc.dictionary(
        fc.constantFrom('kuma.io/mesh', 'kuma.io/origin', 'k8s.kuma.io/namespace', 'constructor'),
        fc.oneof(fc.string(), odd),
      ),
    );
    const metadata = fc.oneof(
      odd,
      fc.record({ name: fc.string(), namespace: fc.constantFrom('sys', 'shop', ''), labels }, { requiredKeys: [] }),
    );
    const spec = fc.oneof(
      odd,
      fc.record(
        { mtls: odd, metrics: odd, networking: odd, targetRef: odd, from: odd, rules: odd },
        { requiredKeys: [] },
      ),
      fc.record({
        networking: fc.record({ address: odd, inbound: fc.array(fc.oneof(odd, fc.record({ port: odd, tags: odd }))) }),
      }),
      fc.record({
        from: fc.array(fc.record({ targetRef: fc.record({ kind: fc.constantFrom('Mesh', 'x') }), default: odd })),
      }),
      fc.record({
        metrics: fc.record({
          backends: fc.array(fc.record({ name: fc.string(), type: fc.constantFrom('prometheus', 'x'), conf: odd })),
        }),
      }),
    );
    const object = fc.oneof(
      odd,
      fc.record(
        {
          apiVersion: odd,
          kind: odd,
          type: fc.constantFrom('system.kuma.io/secret', 'system.kuma.io/global-secret'),
          metadata,
          spec,
          data: odd,
          status: odd,
        },
        { requiredKeys: [] },
      ),
    );
    const review = fc.record({
      apiVersion: fc.constantFrom('admission.k8s.io/v1'),
      kind: fc.constant('AdmissionReview'),
      request: fc.oneof(
        { weight: 1, arbitrary: odd },
        {
          weight: 9,
          arbitrary: fc.record(
            {
              uid: fc.constant('u'),
              kind: fc.record({
                group: fc.constantFrom('kuma.io', 'kuma.io', ''),
                version: fc.constant('v1alpha1'),
                kind: word,
              }),
              name: fc.string(),
              namespace: fc.constantFrom('sys', 'shop', ''),
              operation: fc.constantFrom('CREATE', 'UPDATE', 'DELETE', 'CONNECT'),
              userInfo: fc.oneof(odd, fc.record({ username: fc.string() })),
              object,
              oldObject: object,
            },
            { requiredKeys: ['uid', 'kind', 'operation'] },
          ),
        },
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), review, async (path, body) => {
        wellFormed(await call(path, JSON.stringify(body)));
      }),
      { numRuns: 500 },
    );
  });
});
