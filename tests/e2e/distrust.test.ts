import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa } from '../../src/testing/certificates.ts';
import { createGuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from './guide-shell.ts';
import {
  allowAll,
  createTestMesh,
  eventually,
  freePort,
  http,
  startTraffic,
  type TestMesh,
  type TestProxy,
} from './mesh.ts';

const WAIT_MS = 60_000;
const PER_SECOND = 100;

/** One mesh with two trusted CAs; `web` and `other` call `api`. */
describe('distrust', () => {
  let mesh: TestMesh;
  let web: TestProxy;
  let other: TestProxy;
  let api: TestProxy;
  let echo: TestProxy;
  let home: string;
  let ca: Awaited<ReturnType<typeof createTestCa>>;
  const echoService = createServer((socket) => socket.pipe(socket).on('error', () => undefined));
  const urlOf = (proxy: TestProxy) => `http://127.0.0.1:${proxy.outbounds.get('api')}/`;

  const meshWith = (expiration: string, enabledBackend = 'ca-1') => ({
    type: 'Mesh',
    name: 'default',
    mtls: {
      enabledBackend,
      backends: [
        { name: 'ca-1', type: 'builtin', dpCert: { rotation: { expiration } } },
        {
          name: 'old-ca',
          type: 'provided',
          dpCert: { rotation: { expiration } },
          conf: { cert: { inlineString: ca.pem }, key: { inlineString: ca.keyPem } },
        },
      ],
    },
  });
  const certificate = (proxy: string) => mesh.ok('GET', `/meshes/default/dataplanes/${proxy}/_certificate`);
  const distrust = (body: object) => mesh.ok('POST', '/meshes/default/_distrust', body);
  const stat = async (proxy: string, name: RegExp) => {
    const { body } = await mesh.api('GET', `/meshes/default/dataplanes/${proxy}/stats`);
    return Number(name.exec(body)?.[1] ?? 0);
  };
  const refused = (proxy: string) => stat(proxy, /^listener\.[^\n]*ssl\.fail_verify_error: (\d+)$/m);

  /** One connection to an inbound with a certificate of ours: the answer to `text`, '' when it was refused, and when it ends. */
  function call(proxy: TestProxy, leaf: { chainPem: string; keyPem: string }, text: string) {
    const socket = connect({
      host: '127.0.0.1',
      port: proxy.inboundPort,
      cert: leaf.chainPem,
      key: leaf.keyPem,
      rejectUnauthorized: false,
    });
    socket.on('error', () => undefined);
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const answered = new Promise<string>((resolve) => {
      socket.once('data', (data) => resolve(data.toString()));
      socket.once('close', () => resolve(''));
    });
    socket.write(text);
    return answered.then((answer) => ({ answer, ended }));
  }

  beforeAll(async () => {
    mesh = await createTestMesh({ store: 'memory' });
    await mesh.startControlPlane();
    home = await mkdtemp(join(tmpdir(), 'weft-distrust-'));
    ca = await createTestCa({ subject: 'O=Example, CN=old', uriSans: ['spiffe://default'] });
    await mesh.put(meshWith('24h'));
    await mesh.put(allowAll());
    const apiService = await mesh.startService('api');
    const echoPort = await freePort();
    await new Promise<void>((resolve) => echoService.listen(echoPort, '127.0.0.1', resolve));
    api = await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: apiService.port });
    echo = await mesh.startProxy({ name: 'echo-1', service: 'echo', protocol: 'tcp', servicePort: echoPort });
    web = await mesh.startProxy({
      name: 'web-1',
      service: 'web',
      calls: ['api'],
      flags: ['--config-dir', join(home, 'web')],
    });
    other = await mesh.startProxy({ name: 'other-1', service: 'other', calls: ['api'] });
    for (const proxy of [web, other]) {
      await eventually(`${proxy.name} reaches api`, WAIT_MS, async () => (await http(urlOf(proxy))).status === 200);
    }
  });
  afterAll(async () => {
    await mesh?.close();
    echoService.close();
    await rm(home, { recursive: true, force: true });
  });

  it('who has stolen a key loses the connections made with it, and gets no others; nobody else notices', async () => {
    const stolen = JSON.parse(await readFile(join(home, 'web', 'identity.json'), 'utf8')).leaf;
    const { serial } = await certificate('web-1');
    expect(stolen.serial).toBe(serial);
    const overHttp = await call(api, stolen, 'GET / HTTP/1.1\r\nhost: api\r\n\r\n');
    const overTcp = await call(echo, stolen, 'hello');
    expect([overHttp.answer.startsWith('HTTP/1.1 200'), overTcp.answer]).toEqual([true, 'hello']);
    const traffic = startTraffic(urlOf(other), PER_SECOND);

    const answer = await distrust({ serial: serial.toUpperCase(), reason: 'test' });
    expect(answer).toMatchObject({ kind: 'leaf', name: serial, effect: 'revoked', certificates: 1 });
    await Promise.all([overHttp.ended, overTcp.ended]);
    expect((await call(api, stolen, 'GET / HTTP/1.1\r\nhost: api\r\n\r\n')).answer).toBe('');
    expect((await call(echo, stolen, 'hello')).answer).toBe('');
    expect(await refused('api-1')).toBeGreaterThan(0);

    await eventually(
      'web has another certificate',
      WAIT_MS,
      async () => (await certificate('web-1')).serial !== serial,
    );
    await eventually('web works', WAIT_MS, async () => (await http(urlOf(web))).status === 200);
    const { ok, sent, failures } = await traffic.stop();
    expect(failures).toEqual([]);
    expect(ok).toBe(sent);
  });

  it('a service gets other certificates at once, without a failed request of others', async () => {
    const before = await certificate('api-1');
    const traffic = startTraffic(urlOf(other), PER_SECOND);
    const answer = await distrust({ service: 'web' });
    expect(answer).toMatchObject({ kind: 'service', effect: 'revoked' });
    await eventually('web works', WAIT_MS, async () => (await http(urlOf(web))).status === 200);
    expect((await certificate('api-1')).serial).toBe(before.serial);
    const { failures } = await traffic.stop();
    expect(failures).toEqual([]);
  });

  it('refuses what would leave nothing to trust, with the step that is missing', async () => {
    const answer = await mesh.api('POST', '/meshes/default/_distrust', { backend: 'ca-1' });
    expect([answer.status, answer.body]).toEqual([400, expect.stringContaining('weft ca rotate --to OTHER')]);
  });

  it('the commands of the guide run', async () => {
    await mkdir(join(home, '.weft'), { recursive: true });
    const context = {
      controlPlanes: [{ name: 'test', coordinates: { apiServer: { url: mesh.apiUrl } } }],
      contexts: [{ name: 'test', controlPlane: 'test' }],
      currentContext: 'test',
    };
    await writeFile(join(home, '.weft', 'config'), JSON.stringify(context));
    await using shell = createGuideShell(WEFT_FUNCTION, { ...process.env, HOME: home });
    const traffic = startTraffic(urlOf(other), PER_SECOND);
    let printed = '';
    for (const { script, kind } of shellBlocks(await readFile(join(ROOT, 'docs/guides/distrust.md'), 'utf8'))) {
      expect(kind).toBe('run');
      const { code, output } = await shell.run(script);
      expect(code, `${script}\n${output}`).toBe(0);
      printed += output;
    }
    expect(printed).toContain('Every proxy refuses the old ones');
    expect(printed).toContain('leave what proxies trust');
    await eventually('web works', WAIT_MS, async () => (await http(urlOf(web))).status === 200);
    expect((await traffic.stop()).failures).toEqual([]);
  });

  it('connections are replaced within the life of a certificate, without a failed request', async () => {
    const cluster = (name: string) => stat('other-1', new RegExp(`^cluster\\.api[^:]*\\.${name}: (\\d+)$`, 'm'));
    await mesh.put(meshWith('12s'));
    const before = await cluster('upstream_cx_max_duration_reached');
    const traffic = startTraffic(urlOf(other), PER_SECOND);
    await eventually('three connections ended of age', WAIT_MS, async () => {
      return (await cluster('upstream_cx_max_duration_reached')) >= before + 3;
    });
    const { ok, sent, failures } = await traffic.stop();
    expect(failures).toEqual([]);
    expect(ok).toBe(sent);
  });
});
