import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callAdmin } from '../../src/dataplane/envoy-admin.ts';
import { createTestCa } from '../../src/testing/certificates.ts';
import { eventually, freePort, startEnvoy, testEnvoy } from '../../src/testing/envoy.ts';
import { startTraffic } from '../../src/testing/traffic.ts';
import {
  type BootstrapFixture,
  childrenOf,
  isAlive,
  type Launcher,
  startBootstrapFixture,
  startLauncher,
} from './launcher-fixture.ts';

const envoy = await testEnvoy();
const DATAPLANE = 'type: Dataplane\nmesh: default\nname: {{ name }}\nnetworking:\n  address: 127.0.0.1\n';

describe.skipIf(envoy === undefined)('weft dp run', () => {
  let dir: string;
  let port: number;
  let controlPlane: BootstrapFixture;
  const launchers: Launcher[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'weft-launcher-'));
    port = await freePort();
    controlPlane = await startBootstrapFixture(port);
    await writeFile(join(dir, 'ca.pem'), controlPlane.caCert);
    await writeFile(join(dir, 'dataplane.yaml'), DATAPLANE);
    await writeFile(join(dir, 'token'), 'a-token\n');
  });

  afterEach(async () => {
    for (const launcher of launchers.splice(0)) {
      launcher.process.kill('SIGKILL');
      await launcher.ended;
    }
    await controlPlane[Symbol.asyncDispose]();
    await rm(dir, { recursive: true, force: true });
  });

  function launch(flags: Readonly<Record<string, string>> = {}, compiled = false): Launcher {
    const all = {
      'cp-address': controlPlane.url,
      'ca-cert-file': join(dir, 'ca.pem'),
      'dataplane-file': join(dir, 'dataplane.yaml'),
      'dataplane-var': 'name=web-1',
      'dataplane-token-file': join(dir, 'token'),
      'binary-path': envoy!,
      'drain-time': '0s',
      'readiness-port': '0',
      ...flags,
    };
    const args = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`--${name}`, value]));
    const launcher = startLauncher(args, { TMPDIR: dir }, compiled);
    launchers.push(launcher);
    return launcher;
  }

  const workdir = async () => {
    const name = (await readdir(dir)).find((entry) => entry.startsWith('weft-dp-'));
    return name && join(dir, name);
  };
  const readyWorkdir = () =>
    eventually('Envoy is ready', async () => {
      const path = await workdir();
      return path && (await callAdmin(join(path, 'admin.sock'), 'GET', '/ready')).body.trim() === 'LIVE' && path;
    });

  it('hands Envoy the bootstrap, tells the control plane of itself, and leaves nothing behind', async () => {
    const launcher = launch();
    const path = await readyWorkdir();
    expect(await fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text())).toBe('ok');
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect((await stat(join(path, 'bootstrap.yaml'))).mode & 0o777).toBe(0o600);
    expect(controlPlane.requests).toHaveLength(1);
    // This control plane does not answer to that: it makes the key.
    expect(controlPlane.requests[0]).toHaveProperty('keySocketPath', join(path, 'keys.sock'));
    expect(launcher.log()).toContain('it does not offer keys beside the proxy');
    expect(controlPlane.requests[0]).toMatchObject({
      mesh: 'default',
      name: 'web-1',
      proxyType: 'dataplane',
      dataplaneToken: 'a-token',
      dataplaneResource: DATAPLANE.replace('{{ name }}', 'web-1'),
      caCert: controlPlane.caCert,
      features: ['feature-delta-grpc'],
      workdir: path,
      adminSocketPath: join(path, 'admin.sock'),
      version: {
        kumaDp: { version: '0.0.0-test' },
        envoy: { version: expect.stringMatching(/^1\.\d+\.\d+$/), kumaDpCompatible: true },
      },
    });

    const [envoyPid] = childrenOf(launcher.process.pid!);
    launcher.process.kill('SIGTERM');
    expect(await launcher.ended).toBe(0);
    expect(isAlive(envoyPid!)).toBe(false);
    expect(await workdir()).toBeUndefined();
    expect(launcher.log()).not.toContain('a-token');
  });

  it('keeps to 60 MB beside Envoy', async () => {
    const launcher = launch({}, true);
    await readyWorkdir();
    const status = await readFile(`/proc/${launcher.process.pid}/status`, 'utf8');
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
    expect(kilobytes).toBeGreaterThan(10_000);
    expect(kilobytes).toBeLessThan(60_000);
  });

  it('starts Envoy again when it is killed', async () => {
    const launcher = launch();
    await readyWorkdir();
    const [first] = childrenOf(launcher.process.pid!);
    process.kill(first!, 'SIGKILL');
    const second = await eventually('another Envoy', () =>
      childrenOf(launcher.process.pid!).find((pid) => pid !== first),
    );
    await readyWorkdir();
    expect(await fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.status)).toBe(200);
    expect(isAlive(second)).toBe(true);
    expect(launcher.log()).toContain('"reason":"killed by SIGKILL"');
  });

  it('kills Envoy when it is killed itself', async () => {
    const launcher = launch();
    await readyWorkdir();
    const [envoyPid] = childrenOf(launcher.process.pid!);
    launcher.process.kill('SIGKILL');
    await launcher.ended;
    await eventually('Envoy is gone', () => !isAlive(envoyPid!));
  });

  it('goes on when the reader of its log goes away', async () => {
    const launcher = launch();
    await readyWorkdir();
    launcher.process.stderr?.destroy();
    launcher.process.stdout?.destroy();
    const [first] = childrenOf(launcher.process.pid!);
    process.kill(first!, 'SIGKILL');
    await eventually('another Envoy', () => childrenOf(launcher.process.pid!).find((pid) => pid !== first));
    await readyWorkdir();
    expect(isAlive(launcher.process.pid!)).toBe(true);
  });

  it('drains on SIGTERM: readiness fails at once, traffic under way does not', async () => {
    const readinessPort = await freePort();
    const launcher = launch({ 'drain-time': '1500ms', 'readiness-port': String(readinessPort) });
    const path = await readyWorkdir();
    const ready = () =>
      fetch(`http://127.0.0.1:${readinessPort}/ready`).then(
        async (answer) => `${answer.status} ${await answer.text()}`,
      );
    expect(await ready()).toBe('200 READY');
    const traffic = startTraffic({ url: `http://127.0.0.1:${port}/`, perSecond: 100, keepAlive: true });
    await eventually('traffic flows', () => traffic.report().ok > 10);

    launcher.process.kill('SIGTERM');
    await eventually('readiness fails', async () => (await ready()) === '503 TERMINATING');
    await eventually(
      'Envoy drains',
      async () => (await callAdmin(join(path, 'admin.sock'), 'GET', '/ready')).status === 503,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    const report = await traffic.stop();
    expect(report).toMatchObject({ failed: 0, failures: [] });
    expect(isAlive(launcher.process.pid!)).toBe(true);
    expect(await launcher.ended).toBe(0);
    expect(await workdir()).toBeUndefined();
  });

  it('a second signal ends the drain', async () => {
    const launcher = launch({ 'drain-time': '1h' });
    await readyWorkdir();
    launcher.process.kill('SIGTERM');
    await eventually('draining', () => launcher.log().includes('draining connections'));
    launcher.process.kill('SIGTERM');
    expect(await launcher.ended).toBe(0);
  });

  it('stops cleanly while it still waits for the control plane', async () => {
    const launcher = launch({ 'cp-address': `https://localhost:${await freePort()}` });
    await eventually('it waits', () => launcher.log().includes('no bootstrap from the control plane yet'));
    launcher.process.kill('SIGINT');
    expect(await launcher.ended).toBe(0);
    expect(await workdir()).toBeUndefined();
  });

  it('asks again while the Dataplane is not there yet', async () => {
    controlPlane.refuseNext(404, '');
    controlPlane.refuseNext(503, 'starting');
    const launcher = launch();
    await readyWorkdir();
    expect(launcher.log()).toContain('it knows no such Dataplane');
  });

  it('says what the control plane refused, and does not ask again', async () => {
    controlPlane.refuseNext(422, 'the token is for another mesh');
    const launcher = launch();
    expect(await launcher.ended).toBe(1);
    expect(launcher.log()).toMatch(
      /weft: get the bootstrap from https:\/\/localhost:\d+: 422: the token is for another mesh/,
    );
  });

  it('never talks to a control plane whose certificate it can not verify', async () => {
    await writeFile(join(dir, 'other.pem'), (await createTestCa()).pem);
    const stranger = launch({ 'ca-cert-file': join(dir, 'other.pem') });
    expect(await stranger.ended).toBe(1);
    expect(stranger.log()).toMatch(
      /verify the certificate of https:\/\/localhost:\d+: .*give the CA of this control plane with --ca-cert-file/,
    );
    const none = launch({ 'ca-cert-file': '' });
    expect(await none.ended).toBe(1);
    expect(none.log()).toContain("no CA was given, so only the machine's own CAs are trusted");
    const otherName = launch({ 'cp-address': controlPlane.url.replace('localhost', '127.0.0.1') });
    expect(await otherName.ended).toBe(1);
    expect(otherName.log()).toContain('use one of the names of that certificate in --cp-address');
    expect(controlPlane.requests).toHaveLength(0);
  });

  it.each([
    ['ca-cert-file', 'dataplane.yaml', 'no PEM certificate in it'],
    ['ca-cert-file', 'absent', 'ENOENT; check --ca-cert-file'],
    ['dataplane-token-file', 'absent', 'ENOENT; check --dataplane-token-file'],
    ['dataplane-file', 'absent', 'ENOENT; check --dataplane-file'],
    ['dataplane-var', 'other=1', 'no value for name; add -v name=…'],
    ['binary-path', 'token', 'it is not executable'],
    ['binary-path', 'absent', 'there is no such file'],
    ['concurrency', 'many', 'read --concurrency: "many" is not a whole number'],
  ])('a bad --%s (%s) is told with the reason', async (flag, value, reason) => {
    const file = flag === 'dataplane-var' || flag === 'concurrency' ? value : join(dir, value);
    const launcher = launch({ [flag]: file });
    expect(await launcher.ended).toBe(1);
    expect(launcher.log()).toContain(reason);
    expect(await workdir()).toBeUndefined();
  });

  it('runs inside another program too', async () => {
    await using proxy = startEnvoy({
      cpAddress: controlPlane.url,
      caCert: controlPlane.caCert,
      dataplane: { type: 'Dataplane', mesh: 'default', name: 'api-1' },
      binaryPath: envoy!,
    });
    await proxy.ready();
    expect((await proxy.admin('/server_info')).body).toContain('"state": "LIVE"');
    expect(proxy.log().some((line) => line.includes('Envoy started'))).toBe(true);
  });
});
