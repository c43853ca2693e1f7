/**
 * F8 of docs/reliability.md: the CA of a mesh changes while two Envoys serve 200 requests a second, each over a connection and a handshake of its own, without
 * retries. Every answer is counted. `WEFT_F8_REQUESTS=100000` goes round until so many were sent.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestCa, type TestCertificate } from '../../src/testing/certificates.ts';
import { FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../src/testing/openbao.ts';
import { createTestPki } from '../../src/testing/openbao-pki.ts';
import { allowAll, createTestMesh, eventually, http, startTraffic, type TestMesh } from './mesh.ts';

const PER_SECOND = 200;
const WANTED = Number(process.env['WEFT_F8_REQUESTS'] ?? 0);
/** A CA that lives as long as a test does at the most. */
const DAY = 86_400_000;

const noOpenBao = missingOpenBao();
if (noOpenBao !== undefined && process.env['CI'] === 'true') throw new Error(noOpenBao);

const base64 = (text: string) => Buffer.from(text).toString('base64');

let mesh: TestMesh;
let bao: OpenBao | undefined;
let acm: FakeAcmPca;
let backends: readonly { name: string; type: string; conf?: object }[];
/** The provided CA: an intermediate below a root. */
let root: TestCertificate;

beforeAll(async () => {
  bao = noOpenBao === undefined ? await startOpenBao() : undefined;
  acm = await startFakeAcmPca();
  mesh = await createTestMesh({ config: { weft: { ca: { allowedEndpoints: ['127.0.0.1', 'localhost'] } } } });
  await mesh.startControlPlane();
  root = await createTestCa({ subject: 'CN=root 1', to: DAY });
  await provide(await createTestCa({ subject: 'CN=intermediate 1', issuer: root, to: DAY }));
  const { conf: vaultConf } = bao === undefined ? { conf: {} } : (await createTestPki(bao)).config();
  const awsCredentials = {
    accessKey: { inlineString: FAKE_CREDENTIALS.accessKeyId },
    accessKeySecret: { inlineString: FAKE_CREDENTIALS.secretAccessKey },
  };
  backends = [
    { name: 'builtin-1', type: 'builtin' },
    { name: 'builtin-2', type: 'builtin' },
    { name: 'company', type: 'provided', conf: { cert: { secret: 'ca-cert' }, key: { secret: 'ca-key' } } },
    ...(bao === undefined ? [] : [{ name: 'vault', type: 'vault', conf: vaultConf }]),
    { name: 'acm', type: 'acmpca', conf: { arn: acm.arn, endpoint: acm.endpoint, auth: { awsCredentials } } },
  ];
}, 120_000);
afterAll(async () => {
  await mesh?.close();
  await bao?.close();
  await acm?.close();
});

/** Puts another CA into the Secrets of the provided backend: the key first, so that for a moment they are no pair. */
async function provide(ca: TestCertificate): Promise<void> {
  const secret = (name: string, text: string) => ({ type: 'Secret', mesh: 'default', name, data: base64(text) });
  await mesh.put(secret('ca-key', ca.keyPem));
  await mesh.put(secret('ca-cert', ca.pem + root.pem));
}

const overview = (name: string) => mesh.ok('GET', `/meshes/default/dataplanes/${name}/_overview`);

/** What both proxies present by their own word. */
async function presented(): Promise<{ backend: string; root: string; serial: string }[]> {
  const items = await Promise.all(['web-1', 'api-1'].map(overview));
  return items.map(({ dataplaneInsight }) => dataplaneInsight?.weft?.acknowledged?.certificate ?? {});
}

/** Walks a rotation to its end. */
async function rotate(request: { to?: string; renew?: boolean; dropOld?: boolean }): Promise<void> {
  await mesh.ok('POST', '/meshes/default/_ca-rotation', request);
  let last: object | undefined;
  const done = await eventually(`rotation ${JSON.stringify(request)} is done`, 60_000, async () => {
    last = await mesh.ok('GET', '/meshes/default/_ca-rotation');
    return (last as { ended: boolean }).ended && last;
  }).catch((error: unknown) => {
    throw new Error(`${error}: ${JSON.stringify(last)}`);
  });
  expect(done).toMatchObject({ phase: 'Done', progress: { total: { proxies: 2, connected: 2, renewed: 2 } } });
}

/** Waits until both present a certificate under another CA than before. */
async function otherRoot(before: readonly { root: string }[]): Promise<void> {
  await eventually('both present a certificate of the new CA', 60_000, async () => {
    const now = await presented();
    return now.every(({ root: fingerprint }, index) => fingerprint && fingerprint !== before[index]!.root);
  });
}

interface Step {
  readonly what: string;
  readonly run: () => Promise<void>;
}

/** Each backend in turn and back to the first, the provided CA renewed in between, and the builtin one by itself. */
function steps(): readonly Step[] {
  const to = (name: string): Step => ({ what: `to ${name}`, run: () => rotate({ to: name }) });
  const there = backends.slice(1).flatMap(({ name, type }) => [to(name), ...(type === 'provided' ? renewals() : [])]);
  return [
    ...there,
    to('builtin-1'),
    { what: 'to builtin-2, and builtin-1 is not trusted any more', run: dropTheFirst },
    { what: 'to builtin-1, which is listed again', run: listItAgain },
    { what: 'the builtin CA is renewed', run: () => rotate({ renew: true }) },
    { what: 'the control plane is killed in the middle', run: killedInTheMiddle },
  ];
}

function renewals(): readonly Step[] {
  let round = 0;
  return [
    {
      what: 'the intermediate of the provided CA is renewed',
      async run() {
        round += 1;
        const before = await presented();
        await provide(await createTestCa({ subject: `CN=intermediate ${round}`, issuer: root, to: DAY }));
        for (const name of ['web-1', 'api-1'])
          await mesh.ok('POST', `/meshes/default/dataplanes/${name}/_certificate/_renew`, {});
        await eventually('both present a certificate of the new intermediate', 60_000, async () => {
          const now = await presented();
          return now.every(({ serial }, index) => serial && serial !== before[index]!.serial);
        });
      },
    },
    {
      what: 'the root of the provided CA is renewed',
      async run() {
        const before = await presented();
        root = await createTestCa({ subject: `CN=root ${Date.now()}`, to: DAY });
        await provide(await createTestCa({ subject: 'CN=intermediate of another root', issuer: root, to: DAY }));
        await otherRoot(before);
      },
    },
  ];
}

async function dropTheFirst(): Promise<void> {
  await rotate({ to: 'builtin-2', dropOld: true });
  const { mtls } = await mesh.ok('GET', '/meshes/default');
  expect(mtls.backends.map(({ name }: { name: string }) => name)).not.toContain('builtin-1');
}

async function listItAgain(): Promise<void> {
  await mesh.put({ type: 'Mesh', name: 'default', mtls: { enabledBackend: 'builtin-2', backends } });
  await rotate({ to: 'builtin-1' });
}

/** A rotation there and, begun and killed, back again: what comes after it goes on by itself. */
async function killedInTheMiddle(): Promise<void> {
  await rotate({ to: 'builtin-2' });
  await mesh.ok('POST', '/meshes/default/_ca-rotation', { to: 'builtin-1' });
  await mesh.stopControlPlane('SIGKILL');
  await mesh.startControlPlane();
  await eventually('the rotation goes on', 60_000, async () => {
    const { phase } = await mesh.ok('GET', '/meshes/default/_ca-rotation');
    return phase === 'Done';
  });
  expect((await mesh.ok('GET', '/meshes/default')).mtls.enabledBackend).toBe('builtin-1');
}

it(
  'from one CA to the next and back under traffic, 0 failed',
  async () => {
    await mesh.put({ type: 'Mesh', name: 'default', mtls: { enabledBackend: 'builtin-1', backends } });
    await mesh.put(allowAll());
    const service = await mesh.startService('api');
    // Not `http`: Envoy would keep one connection, and one handshake, for all requests.
    const protocol = 'tcp';
    await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: service.port, protocol });
    const web = await mesh.startProxy({ name: 'web-1', service: 'web', calls: ['api'], protocol });
    const url = `http://127.0.0.1:${web.outbounds.get('api')}/`;
    await eventually('web reaches api', 60_000, async () => (await http(url)).status === 200);
    const handshakes = async () => {
      const { body } = await mesh.api('GET', '/meshes/default/dataplanes/web-1/stats');
      return Number(/^cluster\.api[^:]*\.ssl\.handshake: (\d+)/m.exec(body)?.[1] ?? 0);
    };
    const before = await handshakes();

    const traffic = startTraffic(url, PER_SECOND);
    const done: string[] = [];
    for (let round = 1; round === 1 || traffic.ok() < WANTED; round += 1) {
      for (const { what, run } of steps()) {
        const since = traffic.ok();
        const started = performance.now();
        await run();
        done.push(`${what}: ${traffic.ok() - since} requests, ${((performance.now() - started) / 1000).toFixed(1)} s`);
      }
    }
    const result = await traffic.stop();
    const made = (await handshakes()) - before;
    console.info(`${done.join('\n')}\n${result.sent} requests, ${made} handshakes, ${result.failures.length} failed`);
    expect(result.failures).toEqual([]);
    expect(result.ok).toBe(result.sent);
    expect(made).toBeGreaterThanOrEqual(result.sent * 0.99);
  },
  Math.max(600_000, (WANTED / PER_SECOND) * 2000),
);
