import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa, type TestCertificate } from '../../src/testing/certificates.ts';
import { KEY_USAGE } from '../../src/x509/certificate.ts';
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
  let stolen: { readonly serial: string; readonly chainPem: string; readonly keyPem: string };
  let ca: TestCertificate;
  let caWithoutCrl: TestCertificate;
  const echoService = createServer((socket) => socket.pipe(socket).on('error', () => undefined));
  const urlOf = (proxy: TestProxy) => `http://127.0.0.1:${proxy.outbounds.get('api')}/`;

  /** `noCrl`: the second CA must not sign CRLs. */
  const meshWith = (expiration: string, noCrl = false) => ({
    type: 'Mesh',
    name: 'default',
    mtls: {
      enabledBackend: 'ca-1',
      backends: [
        { name: 'ca-1', type: 'builtin', dpCert: { rotation: { expiration } } },
        {
          name: 'old-ca',
          type: 'provided',
          dpCert: { rotation: { expiration } },
          conf: pairOf(noCrl ? caWithoutCrl : ca),
        },
      ],
    },
  });
  const pairOf = (pair: TestCertificate) => ({
    cert: { inlineString: pair.pem },
    key: { inlineString: pair.keyPem },
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

  /** A TCP connection through the mesh; `ask` answers '' when it ended. */
  function openEcho(proxy: TestProxy) {
    const socket = connectTcp(proxy.outbounds.get('echo')!, '127.0.0.1').on('error', () => undefined);
    const ended = new Promise<string>((resolve) => socket.once('close', () => resolve('')));
    const ask = (text: string) => {
      socket.write(text);
      return Promise.race([
        ended,
        new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data)))),
      ]);
    };
    return { socket, ask };
  }

  beforeAll(async () => {
    mesh = await createTestMesh();
    await mesh.startControlPlane();
    home = await mkdtemp(join(tmpdir(), 'weft-distrust-'));
    ca = await createTestCa({ subject: 'O=Example, CN=old' });
    caWithoutCrl = await createTestCa({ subject: 'O=Example, CN=old', keyUsage: KEY_USAGE.keyCertSign });
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
    other = await mesh.startProxy({ name: 'other-1', service: 'other', calls: ['api', 'echo'] });
    for (const proxy of [web, other]) {
      await eventually(`${proxy.name} reaches api`, WAIT_MS, async () => (await http(urlOf(proxy))).status === 200);
    }
    await eventually('other reaches echo', WAIT_MS, async () => {
      const { socket, ask } = openEcho(other);
      const late = setTimeout(() => socket.destroy(), 1000);
      const answer = await ask('ready');
      clearTimeout(late);
      socket.destroy();
      return answer === 'ready';
    });
  });
  afterAll(async () => {
    await mesh?.close();
    echoService.close();
    await rm(home, { recursive: true, force: true });
  });

  it('who has stolen a key loses the connections made with it, and gets no others; nobody else notices', async () => {
    stolen = JSON.parse(await readFile(join(home, 'web', 'identity.json'), 'utf8')).leaf;
    const { serial } = await certificate('web-1');
    expect(stolen.serial).toBe(serial);
    const overHttp = await call(api, stolen, 'GET / HTTP/1.1\r\nhost: api\r\n\r\n');
    const overTcp = await call(echo, stolen, 'hello');
    expect([overHttp.answer.startsWith('HTTP/1.1 200'), overTcp.answer]).toEqual([true, 'hello']);
    const traffic = startTraffic(urlOf(other), PER_SECOND);

    const replaced = () => stat('other-1', /^cluster_manager\.cluster_modified: (\d+)$/m);
    const before = await replaced();
    const answer = await distrust({ serial: serial.toUpperCase(), reason: 'test' });
    expect(answer).toMatchObject({ kind: 'leaf', name: serial, effect: 'revoked', certificates: 1 });
    await Promise.all([overHttp.ended, overTcp.ended]);
    expect((await call(api, stolen, 'GET / HTTP/1.1\r\nhost: api\r\n\r\n')).answer).toBe('');
    expect((await call(echo, stolen, 'hello')).answer).toBe('');
    expect(await refused('api-1')).toBeGreaterThan(0);

    // Clients leave what they had too: the distrusted one may be a server.
    await eventually('clusters are replaced', WAIT_MS, async () => (await replaced()) >= before + 2);
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

  it('a restarted control plane knows it, and ends no connection for it', async () => {
    const good = openEcho(other);
    expect(await good.ask('before')).toBe('before');
    const traffic = startTraffic(urlOf(other), PER_SECOND);
    await mesh.stopControlPlane();
    await mesh.startControlPlane();
    await eventually('all proxies are back', WAIT_MS, async () => {
      const { body } = await http(`http://127.0.0.1:${mesh.ports.diagnostics}/metrics`);
      return /^weft_certificates\{[^}]*"valid"\} 1$/m.test(body) && /^xds_streams_active 4$/m.test(body);
    });
    // Longer than the drain time: what would be drained would be gone.
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect((await call(api, stolen, 'GET / HTTP/1.1\r\nhost: api\r\n\r\n')).answer).toBe('');
    expect(await good.ask('after')).toBe('after');
    good.socket.destroy();
    expect((await traffic.stop()).failures).toEqual([]);
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

  it('clients of a service are refused by name where a CA signs no CRLs, until that is lifted', async () => {
    await mesh.put(meshWith('24h', true));
    await eventually('the other CA is known', WAIT_MS, async () => {
      const { backends } = await mesh.ok('GET', '/meshes/default/_mtls');
      return backends.every(({ state }: { state: string }) => state === 'Ready');
    });
    const { serial } = await certificate('other-1');
    expect(await distrust({ serial })).toMatchObject({
      effect: 'replaced-only',
      message: expect.stringContaining('cRLSign'),
    });
    const traffic = startTraffic(urlOf(other), PER_SECOND);
    expect(await distrust({ service: 'web' })).toMatchObject({ effect: 'denied' });
    await eventually('web is refused', WAIT_MS, async () => (await http(urlOf(web))).status === 403);
    await mesh.ok('DELETE', '/meshes/default/_distrust/service/web');
    await eventually('web may call again', WAIT_MS, async () => (await http(urlOf(web))).status === 200);
    await mesh.put(meshWith('24h'));
    expect((await traffic.stop()).failures).toEqual([]);
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
