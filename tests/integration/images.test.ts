import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/control-plane/version.ts';
import { lookUpProgram } from '../../src/dataplane/machine.ts';

const missing = whyNot();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(`images: ${missing}`);

const PROJECT = join(import.meta.dirname, '../..');
/** Packages of Debian and Envoy may have to be fetched. */
const BUILD_MS = 600_000;

describe.skipIf(missing !== undefined)(`images${missing === undefined ? '' : ` (${missing})`}`, () => {
  let rootfs = '';
  let built = '';

  beforeAll(() => {
    rootfs = mkdtempSync(join(tmpdir(), 'weft-images-'));
    built = build('--rootfs', rootfs);
  }, BUILD_MS);

  afterAll(() => rmSync(rootfs, { recursive: true, force: true }));

  /** Runs a program of an image, in its root file system, as its user; both outputs. */
  function run(image: string, ...command: string[]): string {
    return runWith({}, image, ...command);
  }

  function runWith(env: Readonly<Record<string, string>>, image: string, ...command: string[]): string {
    const { stdout, stderr } = spawnSync('chroot', ['--userspec=5678:5678', join(rootfs, image), ...command], {
      encoding: 'utf8',
      env: { PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/tmp', ...env },
    });
    return stdout + stderr;
  }

  it('has the programs, and they run', () => {
    for (const image of ['control-plane', 'proxy']) {
      expect(run(image, 'node', '--version')).toMatch(/^v24\./);
      expect(run(image, 'weft', 'version')).toContain(`Weft ${VERSION}`);
    }
    expect(run('proxy', 'envoy', '--version')).toMatch(/\/1\.\d+\.\d+\/Clean\/RELEASE/);
    expect(run('proxy', 'nft', '--version')).toMatch(/^nftables v/);
    for (const tool of ['iptables-restore', 'ip6tables-restore', 'iptables-legacy-restore']) {
      expect(run('proxy', tool, '--version')).toMatch(/^ip6?tables-restore v/);
    }
  });

  it('has every module that weft may load', () => {
    // Packages that stay outside of the bundle are loaded by different commands.
    expect(run('control-plane', 'weft', 'install', 'control-plane')).toContain('kind: Deployment');
    expect(
      run(
        'control-plane',
        'weft',
        'generate',
        'tls-certificate',
        '--type',
        'server',
        '--hostname',
        'x',
        '--key-file',
        '-',
        '--cert-file',
        '-',
      ),
    ).toContain('BEGIN CERTIFICATE');
    expect(run('control-plane', 'weft', 'get', 'meshes', '--cp-address', 'http://127.0.0.1:1')).toContain(
      'http://127.0.0.1:1',
    );
    const cluster = {
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'u', user: { token: 't' } }],
    };
    writeFileSync(join(rootfs, 'control-plane/tmp/config'), JSON.stringify({ ...cluster, 'current-context': 'c' }));
    expect(runWith({ KUBECONFIG: '/tmp/config' }, 'control-plane', 'weft', 'check')).toMatch(/127\.0\.0\.1:1/);
    const postgres = {
      KUMA_STORE_TYPE: 'postgres',
      KUMA_STORE_POSTGRES_HOST: '127.0.0.1',
      KUMA_STORE_POSTGRES_PORT: '1',
    };
    expect(runWith(postgres, 'control-plane', 'weft', 'cp', 'migrate', 'up')).toMatch(/127\.0\.0\.1:1/);
    expect(run('control-plane', 'node', '/opt/weft/dist/bin/demo-service.js', 'x')).toContain(
      'there are only api and web',
    );
  });

  it('runs as a user without rights, and holds no shell, no package manager and no file that gives rights', () => {
    for (const image of ['control-plane', 'proxy']) {
      const root = join(rootfs, image);
      expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toMatch(/^weft:x:5678:5678:/m);
      expect(readFileSync(join(root, 'etc/ssl/certs/ca-certificates.crt'), 'utf8')).toContain('BEGIN CERTIFICATE');
      for (const path of ['bin/sh', 'usr/bin/sh', 'bin/bash', 'usr/bin/apt', 'usr/bin/dpkg', 'usr/local/bin/npm']) {
        expect(existsSync(join(root, path)), path).toBe(false);
      }
      const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      const privileged = files.filter((entry) => (statSync(join(entry.parentPath, entry.name)).mode & 0o6000) !== 0);
      expect(privileged.map(({ name }) => name)).toEqual([]);
    }
  });

  it('says in the archive who it runs as and what it starts', () => {
    const archive = join(PROJECT, 'dist/images/control-plane.tar');
    const read = (path: string) => JSON.parse(execFileSync('tar', ['-xOf', archive, path], { encoding: 'utf8' }));
    const [docker] = read('manifest.json');
    expect(docker.RepoTags).toEqual([`weft/control-plane:${VERSION}`]);
    expect(read(docker.Config)).toMatchObject({
      os: 'linux',
      config: { User: '5678:5678', Entrypoint: ['/usr/local/bin/weft'] },
    });
  });

  it('is the same at every time', { timeout: BUILD_MS }, () => {
    expect(build()).toBe(built);
  });
});

/** What the script prints: names, sizes and digests. */
function build(...args: string[]): string {
  return execFileSync(process.execPath, ['scripts/images.mjs', ...args], {
    cwd: PROJECT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'images are built on Linux';
  const absent = ['apt-get', 'dpkg-deb', 'chroot'].find((program) => lookUpProgram(program, process.env) === undefined);
  if (absent !== undefined) return `${absent} was not found`;
  return process.getuid?.() === 0 ? undefined : 'only root can run programs in another root file system';
}
