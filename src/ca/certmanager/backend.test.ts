import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { KubeClient } from '../../k8s/api/client.ts';
import { connectKubernetes } from '../../k8s/api/connect.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { createMetrics } from '../../lib/metrics.ts';
import {
  createCaDependencies,
  createMemorySecrets,
  createRequest,
  describeCaBackend,
} from '../../testing/ca-contract.ts';
import { createTestCa } from '../../testing/certificates.ts';
import {
  denied,
  type FakeIssuer,
  failed,
  garbage,
  invalid,
  issued,
  pending,
  startFakeIssuer,
  wellBehaved,
} from '../../testing/fakes/certificate-issuer.ts';
import { type FakeApiServer, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import { parseCertificates } from '../../x509/chain.ts';
import { inspectCsr } from '../../x509/csr.ts';
import { parsePem } from '../../x509/pem.ts';
import { createTrustStore, verifyLeaf } from '../../x509/verify.ts';
import type { BackendConfig, CaBackend, CaDependencies, CaNotice } from '../backend.ts';
import { certManagerCa } from './backend.ts';
import { type CertManager, createCertManager } from './cert-manager.ts';
import type { CertificateRequest } from './objects.ts';

const NAMESPACE = 'kong-mesh-system';
const ISSUERS = `/apis/cert-manager.io/v1/namespaces/${NAMESPACE}/issuers`;
const REQUESTS = `/apis/cert-manager.io/v1/namespaces/${NAMESPACE}/certificaterequests`;
const config = (conf: Record<string, unknown> = {}): BackendConfig => ({
  mesh: 'default',
  name: 'certmanager-1',
  type: 'certmanager',
  conf: { issuerRef: { name: 'my-ca-issuer' }, ...conf },
});

let api: FakeApiServer;
let client: KubeClient;
let issuerClient: KubeClient;
let issuer: FakeIssuer;
let manager: CertManager;
let deps: CaDependencies;
const signal = new AbortController().signal;

const readyIssuer = (spec: object = { ca: {} }, name = 'my-ca-issuer', status = 'True') => ({
  metadata: { name },
  spec,
  status: { conditions: [{ type: 'Ready', status, message: 'because' }] },
});
const left = () => api.objects('certificaterequests').length;
const until = (what: () => boolean) => vi.waitUntil(what, { timeout: 15_000, interval: 10 });
function createManager(): CertManager {
  return createCertManager({
    client,
    systemNamespace: NAMESPACE,
    instanceId: 'cp-1',
    zone: 'default',
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
    metrics: createMetrics(),
  });
}
async function setUp(): Promise<void> {
  api = await startFakeApiServer();
  client = await connectKubernetes({ env: { KUBECONFIG: api.kubeconfig } });
  issuerClient = await connectKubernetes({ env: { KUBECONFIG: api.kubeconfig } });
  issuer = await startFakeIssuer({ client: issuerClient, namespace: NAMESPACE, group: 'cert-manager.io' });
  api.put(ISSUERS, readyIssuer());
  api.put('/apis/kuma.io/v1alpha1/meshes', { metadata: { name: 'default' } });
  manager = createManager();
  deps = createCaDependencies({ certManager: manager });
}
beforeEach(setUp);
afterEach(async () => {
  await manager.close();
  await issuer.close();
  await issuerClient.close();
  await client.close();
  await api.close();
});

const open = (conf?: Record<string, unknown>): CaBackend => certManagerCa.open(config(conf), deps);
/** Notices as they come. */
function noticesOf(backend: CaBackend): CaNotice[] {
  const notices: CaNotice[] = [];
  backend.notices?.((notice) => notices.push(notice));
  return notices;
}
const lastProblem = (notices: readonly CaNotice[]) =>
  notices.flatMap((notice) => (notice.kind === 'problem' ? [notice.problem] : [])).at(-1);

describeCaBackend('certmanager', async () => ({ kind: certManagerCa, config: config(), deps }));
describeCaBackend('certmanager with caCert', async () => ({
  kind: certManagerCa,
  config: config({ caCert: { inlineString: issuer.ca.pem } }),
  deps,
}));

describe('certmanager', () => {
  it('asks as cert-manager wants to be asked, and leaves nothing behind', async () => {
    const backend = open({ commonName: '{{ tag "kuma.io/service" }}.mesh', dnsNames: ['{{ tag "kuma.io/service" }}'] });
    let asked: CertificateRequest | undefined;
    issuer.behaviour = async (request, sign, ca) => {
      asked = request;
      return wellBehaved(request, sign, ca);
    };
    const request = createRequest('default', { lifetimeMs: 60_000, sealedKey: () => 'sealed' });
    const chain = await backend.sign(request, signal);
    expect(chain).toMatchObject({ anchorsPem: issuer.ca.pem, dnsNames: ['web'] });
    expect(asked).toMatchObject({
      metadata: {
        namespace: NAMESPACE,
        ownerReferences: [{ kind: 'Mesh', name: 'default' }],
        annotations: { 'kuma.io/spiffe-id': 'spiffe://default/web', 'kuma.io/sealed-key': 'sealed' },
      },
      spec: {
        duration: '60s',
        issuerRef: { name: 'my-ca-issuer', kind: 'Issuer', group: 'cert-manager.io' },
        isCA: false,
      },
    });
    const csr = await inspectCsr(parsePem(Buffer.from(asked!.spec.request, 'base64').toString())[0]!.der);
    expect(csr).toMatchObject({
      subject: 'CN=web.mesh',
      uriSans: [...request.uriSans, 'dns:web'],
      extensions: ['2.5.29.17'],
      valid: true,
    });
    await until(() => left() === 0);
    expect([client.calls.get('create certificaterequests'), client.calls.get('delete certificaterequests')]).toEqual([
      1, 1,
    ]);
    expect(client.calls.get('get certificaterequests')).toBeUndefined();
  });

  it('shares one watch among all requests, and names none twice', async () => {
    const backend = open();
    await backend.trustAnchors(signal);
    const watches = api.watches();
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => backend.sign(createRequest('default', { proxy: `p-${index}` }), signal)),
    );
    expect(api.watches()).toBe(watches);
    expect(issuer.seen.size).toBe(51);
    await until(() => left() === 0);
  });

  it('asks for less than what is left of the CA', async () => {
    issuer.ca = await createTestCa({ to: 1_200_000 });
    const backend = open();
    expect((await backend.trustAnchors(signal)).notAfter).toBeLessThan(Date.now() + 1_200_000);
    let duration = '';
    issuer.behaviour = async (request, sign, ca) => {
      duration = request.spec.duration;
      return wellBehaved(request, sign, ca);
    };
    await backend.sign(createRequest('default'), signal);
    expect(Number.parseInt(duration, 10)).toBeGreaterThan(1160);
    expect(Number.parseInt(duration, 10)).toBeLessThanOrEqual(1170);
  });

  it.each(garbage.map(([name, behaviour, usable]) => ({ name, behaviour, usable })))(
    'hands over nothing that passes for good when the answer is $name',
    async ({ behaviour, usable }) => {
      const backend = open();
      issuer.behaviour = behaviour;
      const request = createRequest('default');
      const trust = await createTrustStore(issuer.ca.pem);
      const verdict = await backend.sign(request, signal).then(
        ({ pem }) => verifyLeaf(pem, { keys: request.keys, uriSans: request.uriSans, trust, now: Date.now() }),
        (error: unknown) => error,
      );
      expect(verdict).toMatchObject(usable ? { ok: true } : { code: expect.any(String) });
      await until(() => left() === 0);
    },
  );

  it('wants a CA certificate from somewhere', async () => {
    issuer.behaviour = async (_request, sign) => [issued((await sign()).pem)];
    await expect(open().trustAnchors(signal)).rejects.toMatchObject({
      code: 'not-configured',
      reason: 'NoCaCertificate',
      message: expect.stringContaining('put its CA certificate in conf.caCert'),
    });
    const given = open({ caCert: { inlineString: issuer.ca.pem } });
    expect((await given.trustAnchors(signal)).pem).toBe(issuer.ca.pem);
    expect((await given.sign(createRequest('default'), signal)).anchorsPem).toBeUndefined();
  });

  it.each([
    ['denied', async () => [denied()], 'denied', 'RequestDenied', /was denied \(not for you\)/],
    ['invalid', async () => [invalid()], 'invalid-request', 'RequestInvalid', /no such usage/],
    [
      'failed',
      async () => [failed()],
      'failed',
      'RequestFailed',
      /the upstream said no.*kubectl describe issuer my-ca-issuer/,
    ],
  ] as const)('tells %s apart at once, and deletes the request', async (_what, behaviour, code, reason, message) => {
    issuer.behaviour = behaviour;
    const started = performance.now();
    await expect(open().sign(createRequest('default'), signal)).rejects.toMatchObject({
      code,
      reason,
      message: expect.stringMatching(message),
    });
    expect(performance.now() - started).toBeLessThan(2000);
    await until(() => left() === 0);
  });

  it('notices that its request was deleted', async () => {
    issuer.behaviour = async (request) => {
      api.remove(`${REQUESTS}/${request.metadata.name}`);
      return [];
    };
    await expect(open().sign(createRequest('default'), signal)).rejects.toMatchObject({ code: 'deleted' });
  });

  it('says what it waits for while it waits, and at the deadline', async () => {
    issuer.behaviour = async () => [pending('SecretMissing', 'secret "x" is gone')];
    const backend = open();
    const notices = noticesOf(backend);
    await expect(backend.sign(createRequest('default'), AbortSignal.timeout(700))).rejects.toMatchObject({
      code: 'timeout',
      reason: 'SecretMissing',
      message: expect.stringMatching(/has not signed for 1 s \(secret "x" is gone\); see: kubectl describe issuer/),
    });
    expect(lastProblem(notices)).toBeUndefined();
    await until(() => left() === 0);
  });

  it('says after five seconds that nobody approves, with what to paste', async () => {
    issuer.behaviour = async () => [];
    const backend = open();
    const notices = noticesOf(backend);
    const asked = backend.sign(createRequest('default'), AbortSignal.timeout(5400));
    asked.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 5200));
    expect(lastProblem(notices)).toMatchObject({
      reason: 'NotApproved',
      fix: expect.stringContaining('kind: CertificateRequestPolicy'),
    });
    await expect(asked).rejects.toMatchObject({ code: 'not-approved' });
    issuer.behaviour = wellBehaved;
    await backend.sign(createRequest('default'), signal);
    expect(lastProblem(notices)).toBeUndefined();
    await until(() => left() === 0);
  }, 15_000);

  it('asks nothing of an issuer that cannot sign, and says when it can', async () => {
    api.remove(`${ISSUERS}/my-ca-issuer`);
    api.put(ISSUERS, readyIssuer({ ca: {} }, 'my-ca-issuers'));
    const backend = open();
    const notices = noticesOf(backend);
    await expect(backend.sign(createRequest('default'), signal)).rejects.toMatchObject({
      reason: 'IssuerNotFound',
      message: expect.stringContaining('did you mean "my-ca-issuers"?'),
    });
    api.put(ISSUERS, readyIssuer({ selfSigned: {} }));
    await until(() => lastProblem(notices)?.reason === 'UnsupportedIssuer');
    expect(issuer.seen.size).toBe(0);
    api.put(`${ISSUERS}`, { ...readyIssuer(), metadata: { name: 'my-ca-issuer', generation: 2 } });
    await until(() => notices.some(({ kind }) => kind === 'changed'));
    expect(lastProblem(notices)).toBeUndefined();
    await backend.sign(createRequest('default'), signal);
    const changes = () => notices.filter(({ kind }) => kind === 'changed').length;
    const before = changes();
    api.put(ISSUERS, { ...readyIssuer(), metadata: { name: 'my-ca-issuer', generation: 3 } });
    await until(() => changes() === before + 1);
  });

  it('deletes the request of a caller that gives up, also when the API server is away just then', async () => {
    issuer.behaviour = async () => [];
    const backend = open();
    const stop = new AbortController();
    const asked = backend.sign(createRequest('default'), stop.signal);
    asked.catch(() => undefined);
    await until(() => left() === 1);
    let refusals = 0;
    api.interceptor = (request, response) => {
      if (request.method !== 'DELETE' || refusals > 1) return false;
      refusals += 1;
      response.writeHead(500).end('{}');
      return true;
    };
    stop.abort();
    // The latter when the answer to `create` was still on its way.
    await expect(asked).rejects.toMatchObject({ code: expect.stringMatching(/^(not-approved|unavailable)$/) });
    await until(() => left() === 0);
    expect(refusals).toBe(2);
  });

  it('deletes what is under way when it is closed', async () => {
    issuer.behaviour = async () => [];
    const backend = open();
    const asked = backend.sign(createRequest('default'), signal);
    asked.catch(() => undefined);
    await until(() => left() === 1);
    await backend.close!();
    await expect(asked).rejects.toMatchObject({ code: 'unavailable' });
    expect(left()).toBe(0);
  });

  it('finishes what a former process began, and only that', async () => {
    issuer.behaviour = async () => [];
    const backend = open();
    const request = createRequest('default', { sealedKey: () => 'sealed key' });
    const killed = new AbortController();
    // As kill -9: nobody deletes anything.
    api.interceptor = (incoming, response) => {
      if (incoming.method !== 'DELETE') return false;
      response.destroy();
      return true;
    };
    void backend.sign(request, killed.signal).catch(() => undefined);
    await until(() => left() >= 1);
    const second = createManager();
    const successor = certManagerCa.open(config(), { ...deps, certManager: second });
    issuer.behaviour = wellBehaved;
    const found = await successor.resume!('web-1', request.uriSans, signal);
    expect(found?.sealedKey).toBe('sealed key');
    expect(await successor.resume!('web-2', request.uriSans, signal)).toBeUndefined();
    expect(await successor.resume!('web-1', ['spiffe://default/api'], signal)).toBeUndefined();
    const name = api
      .objects('certificaterequests')
      .find(
        ({ metadata }) => (metadata['annotations'] as Record<string, string>)['kuma.io/sealed-key'] === 'sealed key',
      )!.metadata.name!;
    // The issuer gets to it after the restart.
    const finished = found!.finish(signal);
    const again = await startFakeIssuer({ client, namespace: NAMESPACE, group: 'cert-manager.io', ca: issuer.ca });
    const chain = await finished;
    api.interceptor = undefined;
    const trust = await createTrustStore(issuer.ca.pem);
    const { keys, uriSans } = request;
    expect(await verifyLeaf(chain.pem, { keys, uriSans, trust, now: Date.now() })).toMatchObject({ ok: true });
    await until(() => !api.objects('certificaterequests').some(({ metadata }) => metadata.name === name));
    await again.close();
    await second.close();
  });

  it('sweeps what is past its time, and nothing that may be somebody’s', async () => {
    const own = { 'app.kubernetes.io/managed-by': 'weft-control-plane' };
    const at = (ms: number) => ({ 'kuma.io/deadline': new Date(Date.now() + ms).toISOString() });
    const put = (name: string, labels: object, annotations: object) =>
      api.put(REQUESTS, {
        metadata: { name, labels, annotations },
        spec: { request: '', issuerRef: { group: 'none' } },
      });
    put('orphan', own, at(-61_000));
    put('fresh-of-another', own, at(10_000));
    put('just-late', own, at(-30_000));
    put('not-ours', {}, at(-600_000));
    open();
    await until(() => left() === 3);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(api.objects('certificaterequests').map(({ metadata }) => metadata.name)).toEqual([
      'fresh-of-another',
      'just-late',
      'not-ours',
    ]);
  });

  it.each([
    [404, 'CertManagerMissing', 'not-configured', /cert-manager is not installed/],
    [403, 'Forbidden', 'forbidden', /may not list CertificateRequests/],
  ] as const)('says what is missing when the API server answers %i', async (status, reason, code, message) => {
    api.interceptor = (request, response) => {
      if (!request.url?.includes('certificaterequests')) return false;
      response.writeHead(status).end('{}');
      return true;
    };
    const backend = open();
    const notices = noticesOf(backend);
    await expect(backend.trustAnchors(signal)).rejects.toMatchObject({
      code,
      reason,
      message: expect.stringMatching(message),
    });
    expect(lastProblem(notices)?.reason).toBe(reason);
  });

  it('goes on without seeing issuers when it may not', async () => {
    api.interceptor = (request, response) => {
      if (!request.url?.includes('issuers')) return false;
      response.writeHead(403).end('{}');
      return true;
    };
    await expect(open().trustAnchors(signal)).resolves.toMatchObject({ pem: issuer.ca.pem });
  });

  it.each([
    [
      500,
      { message: 'failed calling webhook "webhook.cert-manager.io": connection refused' },
      'unavailable',
      'WebhookFailing',
    ],
    [403, { message: 'admission webhook "policy" denied the request: no' }, 'invalid-request', 'RequestRefused'],
    [422, { message: 'spec.duration: Invalid value' }, 'invalid-request', 'RequestRefused'],
    [429, { message: 'slow down' }, 'throttled', 'Throttled'],
    [503, {}, 'unavailable', 'ApiServerUnavailable'],
  ] as const)('knows what stands in the way of creating: HTTP %i', async (status, body, code, reason) => {
    const backend = open();
    await backend.trustAnchors(signal);
    api.interceptor = (request, response) => {
      if (request.method !== 'POST') return false;
      response.writeHead(status).end(JSON.stringify(body));
      return true;
    };
    await expect(backend.sign(createRequest('default'), signal)).rejects.toMatchObject({ code, reason });
    await until(() => left() === 0);
  });
});

describe('validate', () => {
  const path = 'mtls.backends[0].conf';
  const validate = (conf: Record<string, unknown>, others: Partial<CaDependencies> = {}) =>
    certManagerCa.validate(config(conf), path, { ...deps, ...others });

  it('is refused outside Kubernetes, with the reason', async () => {
    expect(await validate({}, { certManager: undefined })).toEqual([
      { field: 'mtls.backends[0].type', message: expect.stringContaining('only available on Kubernetes') },
    ]);
    const backend = certManagerCa.open(config(), createCaDependencies());
    await expect(backend.sign(createRequest('default'), signal)).rejects.toMatchObject({ code: 'not-configured' });
  });

  it('takes a CA certificate from everywhere, and does not ask whether the issuer is there', async () => {
    api.remove(`${ISSUERS}/my-ca-issuer`);
    const { pem } = issuer.ca;
    const secrets = createMemorySecrets({ ca: pem });
    expect(await validate({})).toEqual([]);
    expect(await validate({ caCert: { inlineString: pem } })).toEqual([]);
    expect(await validate({ caCert: { inline: Buffer.from(pem).toString('base64') } })).toEqual([]);
    expect(await validate({ caCert: { secret: 'ca' } }, { secrets })).toEqual([]);
    expect(certManagerCa.usedSecrets(config({ caCert: { secret: 'ca' } }))).toEqual(['ca']);
    expect(parseCertificates(pem)).toHaveLength(1);
  });

  it('says how to make a mesh Secret', async () => {
    expect(await validate({ caCert: { secret: 'my-ca' } })).toEqual([
      {
        field: `${path}.caCert.secret`,
        message: expect.stringMatching(
          /^there is no mesh Secret "my-ca" in mesh "default".*kubectl create secret generic my-ca-cert -n kong-mesh-system --type system.kuma.io\/secret --from-file value=ca.crt && kubectl label secret my-ca-cert -n kong-mesh-system kuma.io\/mesh=default$/,
        ),
      },
    ]);
  });

  it('refuses what is no CA certificate', async () => {
    const leaf = await createTestCa({ isCa: false });
    const old = await createTestCa({ from: -7_200_000, to: -3_600_000 });
    for (const [text, field, message] of [
      ['...', 'caCert', /no CERTIFICATE block/],
      [leaf.pem, 'caCert', /not a CA certificate/],
      [issuer.ca.pem + old.pem, 'caCert[1]', /expired at/],
      [issuer.ca.pem + issuer.ca.keyPem, 'caCert', /private key in it/],
    ] as const) {
      const violations = await validate({ caCert: { inlineString: text } });
      expect(violations).toEqual([{ field: `${path}.${field}`, message: expect.stringMatching(message) }]);
      expect(JSON.stringify(violations)).not.toMatch(/BEGIN|MII/);
    }
  });
});
