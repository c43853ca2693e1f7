import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { callAdmin } from '../../src/dataplane/envoy-admin.ts';
import { lookUpProgram } from '../../src/dataplane/machine.ts';
import { eventually, testEnvoy } from '../../src/testing/envoy.ts';

const envoy = await testEnvoy();
const missing = whyNot();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(`transparent proxy: ${missing}`);

/** Two network namespaces of this machine: a Pod, and the rest of the world, with a cable between. */
const POD = `weft-pod-${process.pid}`;
const WORLD = `weft-world-${process.pid}`;
const ADDRESS = {
  4: { pod: '10.99.0.2', world: '10.99.0.1', source: '127.0.0.6' },
  6: { pod: 'fd00:99::2', world: 'fd00:99::1', source: '::6' },
} as const;
const PEER = fileURLToPath(new URL('echo-peer.ts', import.meta.url));
const WEFT = fileURLToPath(new URL('../../src/bin/weft.ts', import.meta.url));
const PROXY_ID = 5678;

describe.skipIf(missing !== undefined)(`transparent proxy${missing === undefined ? '' : ` (${missing})`}`, () => {
  const running: ChildProcess[] = [];
  const folder = missing === undefined ? mkdtempSync(join(tmpdir(), 'weft-tp-')) : '';
  const adminSocket = join(folder, 'admin.sock');

  beforeAll(async () => {
    chmodSync(folder, 0o777);
    for (const name of [POD, WORLD]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    ip('-n', WORLD, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', POD);
    for (const [name, own] of [
      [POD, 'pod'],
      [WORLD, 'world'],
    ] as const) {
      ip('-n', name, 'addr', 'add', `${ADDRESS[4][own]}/24`, 'dev', 'eth0');
      ip('-n', name, 'addr', 'add', `${ADDRESS[6][own]}/64`, 'dev', 'eth0', 'nodad');
      ip('-n', name, 'link', 'set', 'eth0', 'up');
    }
    await Promise.all([serve(POD, '8080', '8081'), serve(WORLD, '9000', '9001', '53')]);
    await startProxy();
  });

  afterAll(() => {
    for (const child of running) child.kill('SIGKILL');
    for (const name of [POD, WORLD]) ip('netns', 'del', name);
    rmSync(folder, { recursive: true, force: true });
  });

  afterEach(() => weft('uninstall'));

  it.each(['nft', 'iptables', 'iptables-legacy'])(
    '%s: redirects what comes in and goes out, IPv4 and IPv6',
    async (backend) => {
      await weft('install', '--backend', backend);
      await weft('install', '--backend', backend);
      for (const family of [4, 6] as const) {
        const { pod, world, source } = ADDRESS[family];
        expect(await seen(() => call(POD, world, '9000'))).toEqual([`9000 ${pod}`, 'out']);
        expect(await seen(() => call(WORLD, pod, '8080'))).toEqual([`8080 ${source}`, 'in']);
        // The application to itself, on either of its addresses.
        expect(await seen(() => call(POD, pod, '8080'))).toEqual([`8080 ${pod}`, 'direct']);
        const loopback = family === 4 ? '127.0.0.1' : '::1';
        expect(await seen(() => call(POD, loopback, '8080'))).toEqual([`8080 ${loopback}`, 'direct']);
        // The proxy: out directly, and to the Pod's own address as any client.
        expect(await seen(() => call(POD, world, '9000', PROXY_ID))).toEqual([`9000 ${pod}`, 'direct']);
        expect(await seen(() => call(POD, pod, '8080', PROXY_ID))).toEqual([`8080 ${source}`, 'in']);
        expect(await seen(() => call(POD, world, '53'))).toEqual([`53 ${pod}`, 'direct']);
      }
    },
  );

  it.each(['nft', 'iptables'])('%s: leaves out what is excluded', async (backend) => {
    const excluded = [
      '--exclude-inbound-ports',
      '8080,9901',
      '--exclude-outbound-ports',
      '9000',
      '--drop-invalid-packets',
    ];
    await weft('install', '--backend', backend, ...excluded, '--exclude-outbound-ports-for-uids', '9001:1000-1001');
    for (const family of [4, 6] as const) {
      const { pod, world, source } = ADDRESS[family];
      expect(await seen(() => call(WORLD, pod, '8080'))).toEqual([`8080 ${world}`, 'direct']);
      expect(await seen(() => call(WORLD, pod, '8081'))).toEqual([`8081 ${source}`, 'in']);
      expect(await seen(() => call(POD, world, '9000'))).toEqual([`9000 ${pod}`, 'direct']);
      expect(await seen(() => call(POD, world, '9001'))).toEqual([`9001 ${pod}`, 'out']);
      expect(await seen(() => call(POD, world, '9001', 1001))).toEqual([`9001 ${pod}`, 'direct']);
    }
    const addresses = `${ADDRESS[4].world}/32,${ADDRESS[6].world}`;
    await weft(
      'install',
      '--backend',
      backend,
      '--exclude-outbound-ips',
      addresses,
      '--exclude-inbound-ips',
      addresses,
    );
    for (const family of [4, 6] as const) {
      const { pod, world } = ADDRESS[family];
      expect(await seen(() => call(POD, world, '9001'))).toEqual([`9001 ${pod}`, 'direct']);
      expect(await seen(() => call(WORLD, pod, '8081'))).toEqual([`8081 ${world}`, 'direct']);
    }
  });

  it('redirects nothing of IPv6 in mode ipv4, and nothing that comes in without the inbound', async () => {
    await weft('install', '--ip-family-mode', 'ipv4', '--redirect-inbound', 'false');
    expect((await seen(() => call(POD, ADDRESS[4].world, '9000')))[1]).toBe('out');
    expect((await seen(() => call(POD, ADDRESS[6].world, '9000')))[1]).toBe('direct');
    expect((await seen(() => call(WORLD, ADDRESS[4].pod, '8080')))[1]).toBe('direct');
  });

  it('takes everything away again, also when there is nothing', async () => {
    await weft('install');
    await weft('uninstall');
    await weft('uninstall');
    expect(await seen(() => call(POD, ADDRESS[4].world, '9000'))).toEqual([`9000 ${ADDRESS[4].pod}`, 'direct']);
    expect(ip('netns', 'exec', POD, 'nft', 'list', 'ruleset')).not.toMatch(/kuma_mesh/i);
  });

  it('says what is missing without NET_ADMIN', async () => {
    const run = execFile_('setpriv', [
      '--bounding-set',
      '-net_admin',
      '--inh-caps',
      '-net_admin',
      process.execPath,
      WEFT,
      'install',
      'transparent-proxy',
    ]);
    await expect(run).rejects.toMatchObject({ stderr: expect.stringMatching(/NET_ADMIN.*Pod Security/s) });
  });

  /** What `act` answers, and which way its connection went. Envoy sends it where it was going, so a wrong original destination fails the answer. */
  async function seen(act: () => Promise<string>): Promise<[string, 'in' | 'out' | 'direct']> {
    const before = await connections();
    const answer = await act();
    const after = await connections();
    return [answer, after.in > before.in ? 'in' : after.out > before.out ? 'out' : 'direct'];
  }

  async function connections(): Promise<{ in: number; out: number }> {
    const { body } = await callAdmin(adminSocket, 'GET', '/stats?filter=downstream_cx_total');
    const count = (name: string) => Number(new RegExp(`tcp\\.${name}\\.downstream_cx_total: (\\d+)`).exec(body)![1]);
    return { in: count('in'), out: count('out') };
  }

  async function serve(namespace: string, ...ports: string[]): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, PEER, 'serve', ...ports]);
    running.push(child);
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await eventually(`servers in ${namespace}`, () => output.split('\n').length > ports.length);
  }

  /** Envoy with the listeners that a sidecar has for redirected connections nobody else takes, as the proxy's user. */
  async function startProxy(): Promise<void> {
    const program = join(folder, 'envoy');
    copyFileSync(envoy!, program);
    chmodSync(program, 0o755);
    const config = join(folder, 'envoy.json');
    writeFileSync(config, JSON.stringify(proxyConfig(adminSocket)));
    const asProxy = ['setpriv', '--reuid', String(PROXY_ID), '--regid', String(PROXY_ID), '--clear-groups'];
    const child = spawn('ip', [
      'netns',
      'exec',
      POD,
      ...asProxy,
      program,
      '-c',
      config,
      '--disable-hot-restart',
      '--concurrency',
      '1',
    ]);
    running.push(child);
    let output = '';
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    await eventually(`Envoy: ${output}`, () => output.includes('starting main dispatch loop'));
  }
});

const execFile_ = promisify(execFile);

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

async function call(namespace: string, address: string, port: string, uid = 0): Promise<string> {
  const as = uid === 0 ? [] : ['setpriv', '--reuid', String(uid), '--clear-groups'];
  const { stdout } = await execFile_('ip', [
    'netns',
    'exec',
    namespace,
    ...as,
    process.execPath,
    PEER,
    'call',
    address,
    port,
  ]);
  return stdout;
}

async function weft(verb: 'install' | 'uninstall', ...args: string[]): Promise<void> {
  await execFile_('ip', ['netns', 'exec', POD, process.execPath, WEFT, verb, 'transparent-proxy', ...args]);
}

function proxyConfig(adminSocket: string) {
  const type = 'type.googleapis.com/envoy';
  const families = [
    ['0.0.0.0', '127.0.0.6'],
    ['::', '::6'],
  ] as const;
  const passthrough = (name: string, source?: string) => ({
    name,
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    ...(source && { upstream_bind_config: { source_address: { address: source, port_value: 0 } } }),
  });
  const listener = (name: string, cluster: string, address: string, port: number) => ({
    name: cluster,
    address: { socket_address: { address, port_value: port } },
    use_original_dst: true,
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.tcp_proxy',
            typed_config: {
              '@type': `${type}.extensions.filters.network.tcp_proxy.v3.TcpProxy`,
              stat_prefix: name,
              cluster,
            },
          },
        ],
      },
    ],
  });
  return {
    admin: { address: { pipe: { path: adminSocket } } },
    static_resources: {
      listeners: families.flatMap(([address]) => [
        listener('out', `out:${address}`, address, 15001),
        listener('in', `in:${address}`, address, 15006),
      ]),
      clusters: families.flatMap(([address, source]) => [
        passthrough(`out:${address}`),
        passthrough(`in:${address}`, source),
      ]),
    },
  };
}

/** `undefined`: everything these tests need is here. */
function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root, for network namespaces';
  if (envoy === undefined) return 'it needs Envoy';
  const programs = ['ip', 'nft', 'iptables', 'iptables-legacy', 'setpriv'];
  const path = `${process.env['PATH']}:/usr/sbin:/sbin`;
  const absent = programs.filter((name) => lookUpProgram(name, { PATH: path }) === undefined);
  return absent.length > 0 ? `not on this machine: ${absent.join(', ')}` : undefined;
}
