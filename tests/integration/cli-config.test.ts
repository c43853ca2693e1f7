import { createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createSelfSigned } from '../../src/control-plane/offline.ts';
import { type CliFixture, startCliFixture } from './cli-fixture.ts';

let cli: CliFixture;
beforeEach(async () => {
  cli = await startCliFixture();
});
afterEach(() => cli.close());

const local = (argv: readonly string[], options = {}) => cli.weft(argv, { noAddress: true, ...options });
const configFile = () => join(cli.home, '.weft', 'config');

describe('config control-planes', () => {
  const add = (...more: string[]) =>
    local(['config', 'control-planes', 'add', '--name', 'prod', '--address', cli.url, ...more]);

  it('adds one after a look at it, and uses it from then on', async () => {
    expect((await add()).stdout).toBe('added Control Plane "prod"\nswitched active Control Plane to "prod"\n');
    expect((await local(['config', 'control-planes', 'list'])).stdout).toBe(
      `ACTIVE   NAME    ADDRESS\n         local   http://localhost:5681\n*        prod    ${cli.url}\n`,
    );
    expect((await local(['get', 'meshes'])).stdout).toContain('default');
    expect(await add()).toMatchObject({ code: 1, stderr: expect.stringContaining('--overwrite') });
    expect(await add('--overwrite')).toMatchObject({ code: 0 });
  });

  it('keeps nothing of one that does not answer, unless the check is skipped', async () => {
    const argv = ['config', 'control-planes', 'add', '--name', 'x', '--address', 'http://127.0.0.1:1'];
    expect(await local(argv)).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing listens there') });
    expect(existsSync(configFile())).toBe(false);
    expect(await local([...argv, '--skip-check'])).toMatchObject({ code: 0 });
  });

  it('sends the token it was given, shows it to nobody, and keeps the file to its owner', async () => {
    const token = await cli.api.tokens.issueUser({ name: 'jo', groups: ['ops'] }, 60_000);
    await add('--auth-type', 'tokens', '--auth-conf', `token=${token}`);
    expect(statSync(configFile()).mode & 0o777).toBe(0o600);
    const view = await local(['config', 'view']);
    expect(view.stdout).toContain("token: '***'".replaceAll("'", '"'));
    expect(view.stdout).not.toContain(token);
    const debug = await local(['get', 'meshes', '--log-level', 'debug']);
    expect(debug.stderr).toMatch(/debug: GET http:\S+ 200 \d+ ms/);
    expect(debug.stderr).not.toContain(token);
  });

  it('says what to do about a token that is refused', async () => {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(401).end(JSON.stringify({ title: 'Invalid authentication data', detail: 'token is revoked' }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const argv = ['config', 'control-planes', 'add', '--name', 'p', '--address', address, '--skip-check'];
    await local([...argv, '--auth-type', 'tokens', '--auth-conf', 'token=a.b.c']);
    const { code, stderr } = await local(['get', 'meshes']);
    server.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: .*Invalid authentication data: token is revoked; get a user token/);
    expect(seen).toEqual(['Bearer a.b.c']);
  });

  it('refuses half a client certificate, an unknown authentication, a missing token, an address that is none', async () => {
    for (const options of [
      ['--client-cert-file', 'a'],
      ['--auth-type', 'magic'],
      ['--auth-type', 'tokens'],
    ]) {
      expect(await add(...options)).toMatchObject({ code: 2 });
    }
    expect(await local(['config', 'control-planes', 'add', '--name', 'a', '--address', 'cp:5681'])).toMatchObject({
      code: 2,
    });
  });

  it('switches and removes', async () => {
    await add();
    expect((await local(['config', 'control-planes', 'switch', '--name', 'local'])).stdout).toBe(
      'switched active Control Plane to "local"\n',
    );
    expect(await local(['config', 'control-planes', 'switch', '--name', 'nope'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('known ones: local, prod'),
    });
    expect((await local(['config', 'control-planes', 'remove', '--name', 'prod'])).stdout).toBe(
      'removed Control Plane "prod"\n',
    );
    expect(parse(readFileSync(configFile(), 'utf8'))).toEqual({
      controlPlanes: [{ name: 'local', coordinates: { apiServer: { url: 'http://localhost:5681' } } }],
      contexts: [{ name: 'local', controlPlane: 'local' }],
      currentContext: 'local',
    });
  });

  it("starts from kumactl's file and leaves that as it is", async () => {
    mkdirSync(join(cli.home, '.kumactl'));
    const kumactl = join(cli.home, '.kumactl', 'config');
    const text = `contexts: [{name: k, controlPlane: k}]\ncontrolPlanes: [{name: k, coordinates: {apiServer: {url: "${cli.url}"}}}]\ncurrentContext: k\n`;
    writeFileSync(kumactl, text);
    expect((await local(['get', 'meshes'])).stdout).toContain('default');
    await add();
    expect(readFileSync(kumactl, 'utf8')).toBe(text);
    expect((await local(['config', 'control-planes', 'list'])).stdout).toContain('k ');
    expect(await local(['get', 'meshes', '--no-config', '--cp-address', cli.url])).toMatchObject({ code: 0 });
  });

  it('names every wrong field of a broken file', async () => {
    const file = join(cli.home, 'broken');
    writeFileSync(
      file,
      'controlPlanes: [{name: a, coordinates: {apiServer: {url: ftp://x, caCertFile: 3}}}]\ncontexts: {}\n',
    );
    const { code, stderr } = await local(['get', 'meshes', '--config-file', file]);
    expect(code).toBe(1);
    expect(stderr).toContain('controlPlanes[0].coordinates.apiServer.url: must be an HTTP URL');
    expect(stderr).toContain('controlPlanes[0].coordinates.apiServer.caCertFile: must be a text');
    expect(stderr).toContain('contexts: must be a list');
  });
});

describe('TLS', () => {
  let secure: CliFixture;
  let address: string;
  let certPem: string;
  beforeEach(async () => {
    const pair = await createSelfSigned({ usage: 'server', names: ['127.0.0.1'], keyType: 'ecdsa', now: Date.now() });
    certPem = pair.certPem;
    const tls = { cert: pair.certPem, key: pair.keyPem };
    secure = await startCliFixture({ server: { https: { host: '127.0.0.1', port: 0, tls } } });
    address = secure.httpsUrl!;
  });
  afterEach(() => secure.close());

  const add = (...options: string[]) =>
    local(['config', 'control-planes', 'add', '--name', 'tls', '--address', address, ...options]);

  it('refuses a certificate that nothing vouches for', async () => {
    expect(await add()).toMatchObject({ code: 1, stderr: expect.stringMatching(/not trusted \(\w+\); give its CA/) });
    expect(await local(['get', 'meshes', '--cp-address', address])).toMatchObject({ code: 1 });
  });

  it('accepts the CA that was given', async () => {
    const file = join(secure.home, 'ca.pem');
    writeFileSync(file, certPem);
    expect(await add('--ca-cert-file', file)).toMatchObject({ code: 0, stderr: '' });
    expect((await local(['get', 'meshes'])).stdout).toContain('default');
  });

  it('checks nothing when told so, and says it every time', async () => {
    expect(await add('--skip-verify')).toMatchObject({ code: 0 });
    expect(await local(['get', 'meshes'])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^warning: the certificate .* is not checked/),
    });
  });
});

describe('generate', () => {
  it('asks the control plane for tokens', async () => {
    const argv = [
      'generate',
      'dataplane-token',
      '--valid-for',
      '1h',
      '--name',
      'web-1',
      '--tag',
      'kuma.io/service=web,api',
      '--proxy-type',
      'dataplane',
    ];
    const { code, stdout } = await cli.weft(argv);
    expect(code).toBe(0);
    expect(decodeJwt(stdout)).toMatchObject({
      Name: 'web-1',
      Mesh: 'default',
      Type: 'dataplane',
      Tags: { 'kuma.io/service': ['api', 'web'] },
    });
    const user = await cli.weft([
      'generate',
      'user-token',
      '--name',
      'jo',
      '--group',
      'a',
      '--group',
      'b',
      '--valid-for',
      '1h',
    ]);
    expect(decodeJwt(user.stdout)).toMatchObject({ Name: 'jo', Groups: ['a', 'b'] });
    const zone = await cli.weft([
      'generate',
      'zone-token',
      '--zone',
      'east',
      '--scope',
      'egress',
      '--valid-for',
      '1h',
      '-o',
      'json',
    ]);
    expect(decodeJwt(JSON.parse(zone.stdout).token)).toMatchObject({ Zone: 'east', Scope: ['egress'] });
  });

  it('signs tokens with a key at hand, without a control plane', async () => {
    const key = join(cli.home, 'key.pem');
    writeFileSync(key, (await local(['generate', 'signing-key', '--format', 'pem'])).stdout);
    const publicKey = (await local(['generate', 'public-key', '--signing-key-path', key])).stdout;
    expect(createPublicKey(publicKey).asymmetricKeyType).toBe('rsa');
    const argv = ['generate', 'user-token', '--name', 'jo', '--valid-for', '1h', '--signing-key-path', key];
    const { stdout } = await local([...argv, '--kid', '3']);
    expect(decodeProtectedHeader(stdout)).toMatchObject({ alg: 'RS256', kid: '3' });
    expect(await local(argv)).toMatchObject({ code: 2, stderr: expect.stringContaining('belong together') });
    expect(await local([...argv, '--kid', '../3'])).toMatchObject({ code: 2 });
    expect(await local(['generate', 'public-key', '--signing-key-path', join(cli.home, 'none')])).toMatchObject({
      code: 1,
    });
  });

  it('refuses what cannot become a token', async () => {
    for (const argv of [
      ['dataplane-token'],
      ['dataplane-token', '--valid-for', 'soon'],
      ['dataplane-token', '--valid-for', '0s'],
      ['zone-token', '--valid-for', '1h', '--scope', 'all'],
      ['user-token', '--valid-for', '1h'],
    ]) {
      expect(await cli.weft(['generate', ...argv]), argv.join(' ')).toMatchObject({ code: 2, stdout: '' });
    }
  });

  it('makes a TLS certificate whose key only its owner reads', async () => {
    const [certFile, keyFile] = [join(cli.home, 'c.pem'), join(cli.home, 'k.pem')];
    writeFileSync(keyFile, 'old', { mode: 0o644 });
    const argv = [
      'generate',
      'tls-certificate',
      '--type',
      'server',
      '--hostname',
      'cp.test,10.0.0.1',
      '--cert-file',
      certFile,
      '--key-file',
      keyFile,
    ];
    expect((await local(argv)).stdout).toContain('Certificate saved in');
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    const certificate = new X509Certificate(readFileSync(certFile));
    expect(certificate.subjectAltName).toBe('DNS:cp.test, IP Address:10.0.0.1');
  });
});

describe('version', () => {
  it('shows both ends, and does without the other one', async () => {
    expect((await cli.weft(['version'])).stdout).toMatch(
      /^Client: Weft \d+\.\d+\.\d+\nServer: Weft \d+\.\d+\.\d+ \(API of Kuma 2\S+\)\n$/,
    );
    expect((await cli.weft(['--version'])).stdout).toContain('Client: Weft');
    const alone = await local(['version', '--cp-address', 'http://127.0.0.1:1']);
    expect(alone).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing listens there') });
  });
});

describe('cp config', () => {
  it('shows the complete configuration, or every problem of it', async () => {
    const file = join(cli.home, 'cp.yaml');
    writeFileSync(file, 'store: {type: memory, postgres: {password: hunter2}}\n');
    const good = await local(['cp', 'config', '-c', file], { env: { KUMA_API_SERVER_HTTP_PORT: '7' } });
    expect(parse(good.stdout)).toMatchObject({ store: { type: 'memory' }, apiServer: { http: { port: 7 } } });
    expect(good.stdout).not.toContain('hunter2');
    writeFileSync(file, 'stor: {}\nmode: 3\n');
    const bad = await local(['cp', 'config', '-c', file, '-o', 'json']);
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.stderr).error.fields).toHaveLength(2);
  });
});

describe('completion', () => {
  const complete = async (...words: string[]) => (await local(['__complete', ...words])).stdout.trim().split('\n');

  it('prints a script for each shell', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      expect((await local(['completion', shell])).stdout).toContain('weft __complete');
    }
  });

  it('knows commands, options, their values, and live types and names', async () => {
    await local(['config', 'control-planes', 'add', '--name', 'here', '--address', cli.url]);
    expect(await complete('ge')).toEqual(['get', 'generate']);
    expect(await complete('generate', 'dataplane-token', '--pr')).toEqual(['--proxy-type']);
    expect(await complete('get', 'meshes', '-o', '')).toEqual(['table', 'wide', 'yaml', 'json']);
    expect(await complete('get', 'meshtraf')).toEqual(['meshtrafficpermissions']);
    expect(await complete('get', 'mesh', '')).toEqual(['default']);
    expect(await complete('inspect', 'dataplane')).toEqual(['dataplanes', 'dataplane']);
    await cli.api.seed('Dataplane', 'web-1', { networking: { address: '10.0.0.1' } }, { mesh: 'default' });
    expect(await complete('certs', '')).toEqual(
      expect.arrayContaining(['list', 'show', 'verify', 'renew', 'history', 'distrust']),
    );
    expect(await complete('certs', 'show', 'w')).toEqual(['web-1']);
    expect(await complete('certs', 'list', '')).toEqual(['']);
  });

  it('has nothing to say, and no error, without a control plane', async () => {
    expect(await local(['__complete', 'get', 'x'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});
