/**
 * S6 of docs/reliability.md: a control plane with a secret in each place that takes one, issuers and a plug-in that tell what they were given, and then
 * everything it says: every GET of its API, metrics, dumps of real Envoys, the answers to what failed, commands, and its log at debug level.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa } from '../../src/testing/certificates.ts';
import { testEnvoy } from '../../src/testing/envoy.ts';
import { awsFailure, FAKE_CREDENTIALS, type FakeAcmPca, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { runCli } from '../integration/cli-fixture.ts';
import { type Place, readEveryRoute, tracesOf } from './canaries.ts';
import { createTestMesh, eventually, type TestMesh, type TestProxy } from './mesh.ts';

const envoy = await testEnvoy();
const ODD_PLUGIN = join(import.meta.dirname, '../../src/ca/plugin/testdata/odd-plugin.mjs');
const WAIT_MS = 60_000;
const canary = (what: string) => `canary-${what}-${randomBytes(12).toString('hex')}`;

/** Where a secret is answered by contract, and to whom. */
const BY_CONTRACT: readonly { readonly where: RegExp; readonly canary?: string; readonly why: string }[] = [
  {
    where: /^GET (\/meshes\/[^/]+)?\/secrets(\/|$)|^GET \/global-?secrets(\/|$)/,
    why: 'an administrator reads a Secret as it was written',
  },
  {
    where: /^GET \/meshes(\/vault-inline)?$/,
    canary: 'a Vault token in the conf itself',
    why: 'a Mesh is answered as it was written; who may not see it puts it into a Secret',
  },
];

/** What is hidden, by what it is; some is made by the control plane and the launcher. */
const canaries = new Map<string, string>([
  ["the key of the provided CA, in a mesh's Secret", ''],
  ['a Vault token in a Secret', canary('vault')],
  ['a Vault token in the conf itself', canary('inline')],
  ['the secret ID of an AppRole', canary('approle')],
  ['an AWS access key ID', FAKE_CREDENTIALS.accessKeyId],
  ['an AWS secret access key', FAKE_CREDENTIALS.secretAccessKey],
  ['what a plug-in was given', canary('plugin')],
  ['a dataplane token', ''],
  ["an administrator's token", ''],
  ['the key that seals leaves', randomBytes(32).toString('base64')],
  ['the password of the database', canary('database')],
  ["a proxy's private key", ''],
]);
const of = (name: string) => canaries.get(name)!;

describe.skipIf(envoy === undefined)('secrets', () => {
  const places: Place[] = [];
  let folder: string;
  let mesh: TestMesh;
  let acm: FakeAcmPca;
  let hostile: Server;

  /** A call whose answer is searched too, whatever it is. */
  async function call(method: string, path: string, body?: unknown): Promise<number> {
    const answer = await mesh.api(method, path, body);
    places.push({ where: `${method} ${path}`, text: answer.body });
    return answer.status;
  }

  async function weft(...argv: string[]): Promise<void> {
    const { stdout, stderr } = await runCli([...argv, '--cp-address', mesh.apiUrl], folder);
    places.push({ where: `weft ${argv.join(' ')}`, text: stdout + stderr });
  }

  /** A Mesh whose one backend is `ca-1`, and the Secrets that it names. What the rehearsal says to it is searched. */
  async function putMesh(name: string, type: string, conf: object, secrets: Readonly<Record<string, string>> = {}) {
    await mesh.put({ type: 'Mesh', name });
    for (const [secret, text] of Object.entries(secrets)) {
      await mesh.put({ type: 'Secret', mesh: name, name: secret, data: Buffer.from(text).toString('base64') });
    }
    const mtls = { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type, conf }] };
    await call('PUT', `/meshes/${name}`, { type: 'Mesh', name, mtls });
    expect(await call('PUT', `/meshes/${name}`, { type: 'Mesh', name, mtls: { ...mtls, skipValidation: true } })).toBe(
      200,
    );
  }

  /** Tells whoever asks all that it was told. */
  async function startHostileVault(): Promise<string> {
    hostile = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const token = request.headers['x-vault-token'] ?? '';
      const told = `no such lease: ${token} ${body}`;
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ errors: [told] }));
    });
    await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(hostile.address() as AddressInfo).port}`;
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-canaries-'));
    const sealingKeyFile = join(folder, 'sealing.key');
    await writeFile(sealingKeyFile, `${of('the key that seals leaves')}\n`, { mode: 0o600 });
    acm = await startFakeAcmPca();
    const vault = await startHostileVault();
    mesh = await createTestMesh({
      config: {
        store: { type: 'sqlite', postgres: { password: of('the password of the database') } },
        weft: {
          log: { level: 'debug' },
          identity: { sealingKeyFile },
          ca: { allowedEndpoints: ['127.0.0.1'], plugins: [{ type: 'odd', module: ODD_PLUGIN }] },
        },
      },
    });
    await mesh.startControlPlane();

    const ca = await createTestCa();
    canaries.set("the key of the provided CA, in a mesh's Secret", ca.keyPem);
    const provided = { cert: { inlineString: ca.pem }, key: { secret: 'ca-key' } };
    await putMesh('default', 'provided', provided, { 'ca-key': ca.keyPem });
    const awsCredentials = { accessKey: { secret: 'id' }, accessKeySecret: { secret: 'key' } };
    const { accessKeyId: id, secretAccessKey: key } = FAKE_CREDENTIALS;
    await putMesh('acm', 'acmpca', { arn: acm.arn, endpoint: acm.endpoint, auth: { awsCredentials } }, { id, key });
    const from = { address: vault, pki: 'pki', role: 'web' };
    const vaults: [string, object, Record<string, string>][] = [
      ['vault', { token: { secret: 'token' } }, { token: of('a Vault token in a Secret') }],
      ['vault-inline', { token: { inlineString: of('a Vault token in the conf itself') } }, {}],
      [
        'vault-approle',
        { appRole: { roleId: { inlineString: 'web' }, secretId: { secret: 'secret-id' } } },
        { 'secret-id': of('the secret ID of an AppRole') },
      ],
    ];
    for (const [name, auth, secrets] of vaults) {
      await putMesh(name, 'vault', { fromCp: { ...from, auth } }, secrets);
    }
    const odd = { does: 'tells', token: { secret: 'token' }, anchors: { inlineString: ca.pem } };
    await putMesh('plugged', 'odd', odd, { token: of('what a plug-in was given') });
    const meshes = ['default', 'acm', ...vaults.map(([name]) => name), 'plugged'];

    const proxies = await startProxies();
    await failEverywhere();
    for (const name of meshes) await weft('ca', 'test', 'ca-1', '-m', name);
    await weft('check', '--environment', 'universal', '-o', 'json');
    for (const name of meshes) await weft('certs', 'list', '-m', name, '-o', 'json');
    for (const name of meshes) await weft('inspect', 'mesh', name, '-o', 'json');
    places.push(...(await readEveryRoute(mesh, meshes)));
    for (const proxy of proxies) places.push({ where: `launcher of ${proxy.mesh}`, text: proxy.log() });
    places.push({ where: 'log of the control plane', text: mesh.controlPlaneLog() });
  }, 240_000);
  afterAll(async () => {
    await mesh?.close();
    await acm?.close();
    hostile?.closeAllConnections();
    hostile?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** One in each mesh that issues, and in two that do not; the leaves are there, or it is said why not. */
  async function startProxies(): Promise<TestProxy[]> {
    const start = (of: string, ...flags: string[]) =>
      mesh.startProxy({
        name: `${of}-1`,
        service: 'web',
        mesh: of,
        flags: ['--config-dir', join(folder, of), ...flags],
      });
    const proxies = [
      await start('default', '--log-level', 'debug'),
      await start('acm', '--keys', 'control-plane'),
      await start('vault'),
      await start('plugged'),
    ];
    for (const name of ['default', 'acm']) await certificate(name, ({ serial }) => serial !== undefined);
    for (const name of ['vault', 'plugged']) await certificate(name, ({ failure }) => failure !== undefined);
    const identity = JSON.parse(await readFile(join(folder, 'default/identity.json'), 'utf8'));
    canaries.set("a proxy's private key", identity.leaf.keyPem);
    canaries.set('a dataplane token', signatureOf(await readFile(join(mesh.dir, 'default-1.token'), 'utf8')));
    return proxies;
  }

  interface Certificate {
    readonly serial?: string;
    readonly failure?: object;
  }
  function certificate(of: string, wanted: (shown: Certificate) => boolean): Promise<unknown> {
    return eventually(`the certificate of ${of}`, WAIT_MS, async () =>
      wanted(await mesh.ok('GET', `/meshes/${of}/dataplanes/${of}-1/_certificate`)),
    );
  }

  /** An issuer that worked fails and tells, and a token that is not right is shown. */
  async function failEverywhere(): Promise<void> {
    const { accessKeyId, secretAccessKey } = FAKE_CREDENTIALS;
    acm.intercept = () =>
      awsFailure('AccessDeniedException', `key ${accessKeyId} with the secret ${secretAccessKey} may not do this`, 403);
    await call('POST', '/meshes/acm/dataplanes/acm-1/_certificate/_renew', {});
    await certificate('acm', ({ failure }) => failure !== undefined);

    const user = { name: 'jane', groups: ['mesh-system:admin'], validFor: '1h' };
    const token: string = await mesh.ok('POST', '/tokens/user', user);
    canaries.set("an administrator's token", signatureOf(token));
    for (const shown of [token, `${token}x`]) {
      const headers = { authorization: `Bearer ${shown}` };
      const answer = await fetch(`${mesh.apiUrl}/meshes`, { headers });
      places.push({ where: 'GET with a token', text: answer.status === 200 ? '' : await answer.text() });
    }
  }

  it('S6 all: every route was asked, and every issuer has told what it knows', () => {
    expect(places.length).toBeGreaterThan(150);
    const log = mesh.controlPlaneLog();
    // As much as a test keeps.
    expect(log.length).toBeLessThan(190_000);
    for (const told of ['"level":"debug"', 'no such lease: \\*\\*\\*', 'may not do this', 'it was \\*\\*\\*']) {
      expect(places.some(({ text }) => new RegExp(told).test(text))).toBe(true);
    }
  });

  it.each([...canaries.keys()])('S6 all: %s is said nowhere', (name) => {
    const traces = tracesOf(of(name));
    expect(traces.length).toBeGreaterThan(0);
    const hits = places.filter(
      ({ where, text }) =>
        traces.some((trace) => text.includes(trace)) &&
        !BY_CONTRACT.some((one) => one.where.test(where) && (one.canary ?? name) === name),
    );
    expect(hits.map(({ where }) => where)).toEqual([]);
  });

  it('S6 all: no private key is said anywhere', () => {
    const hits = places.filter(
      ({ where, text }) =>
        /BEGIN [A-Z ]*PRIVATE KEY-----(\\n|\n)[A-Za-z0-9+/]/.test(text) &&
        !BY_CONTRACT.some((one) => one.where.test(where)),
    );
    expect(hits.map(({ where }) => where)).toEqual([]);
  });
});

/** Of a JWT; the rest of it is no secret. */
function signatureOf(token: string): string {
  return token.trim().split('.')[2]!;
}
