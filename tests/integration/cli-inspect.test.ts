import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CliFixture, startCliFixture } from './cli-fixture.ts';

const BACKENDS = [
  {
    name: 'certmanager-1',
    type: 'certmanager',
    enabled: true,
    state: 'Failing' as const,
    reason: 'NotApproved',
    message: 'the CertificateRequest was not approved; allow it with the policy below',
    fix: 'kind: CertificateRequestPolicy\n',
    since: Date.UTC(2026, 0, 1),
    waiting: 990,
    inFlight: 32,
    ratePerSecond: 25,
    roots: [
      { subject: 'CN=new', fingerprint: 'AB:CD', notBefore: 0, notAfter: Date.UTC(2030, 0, 1), current: true },
      { subject: 'CN=old', fingerprint: 'EF:01', notBefore: 0, notAfter: Date.UTC(2029, 0, 1), current: false },
    ],
  },
];

let cli: CliFixture;
beforeEach(async () => {
  cli = await startCliFixture({
    inspect: {
      backends: (mesh) => (mesh === 'default' ? BACKENDS : []),
      admin: async (_mesh, name, path) => ({
        status: 200,
        contentType: 'text/plain',
        // Dumps are JSON: the API reads them to hide tokens.
        body: Buffer.from(path.startsWith('/config_dump') ? JSON.stringify(`${name} ${path}`) : `${name} ${path}`),
      }),
    },
  });
  const tags = { 'kuma.io/service': 'web', version: 'v1' };
  await cli.api.seed(
    'Dataplane',
    'web-1',
    { networking: { address: '10.0.0.1', inbound: [{ port: 80, tags }] } },
    { mesh: 'default' },
  );
  await cli.api.seed(
    'Dataplane',
    'gw',
    { networking: { address: '10.0.0.2', gateway: { tags: { 'kuma.io/service': 'gw' } } } },
    { mesh: 'default' },
  );
  const spec = { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] };
  await cli.api.seed('MeshTrafficPermission', 'allow', spec, { mesh: 'default' });
});
afterEach(() => cli.close());

const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

describe('inspect dataplanes', () => {
  beforeEach(async () => {
    const subscription = {
      id: 'a',
      connectTime: ago(3_600_000),
      status: { lastUpdateTime: ago(61_000), total: { responsesSent: '12', responsesRejected: '2' } },
      version: { kumaDp: { version: '2.11.0' }, envoy: { version: '1.40.0' } },
    };
    const mTLS = {
      certificateExpirationTime: '2030-01-02T03:04:05Z',
      lastCertificateRegeneration: ago(5000),
      certificateRegenerations: 4,
      issuedBackend: 'b1',
      supportedBackends: ['b1', 'b2'],
    };
    await cli.api.seed('DataplaneInsight', 'web-1', { subscriptions: [subscription], mTLS }, { mesh: 'default' });
  });

  it('shows connection, certificate and versions', async () => {
    const { stdout } = await cli.weft(['inspect', 'dataplanes']);
    const [header, , web] = stdout.split('\n');
    expect(header!.split(/ {3,}/)).toEqual([
      'MESH',
      'NAME',
      'TAGS',
      'STATUS',
      'LAST CONNECTED AGO',
      'LAST UPDATED AGO',
      'TOTAL UPDATES',
      'TOTAL ERRORS',
      'CERT REGENERATED AGO',
      'CERT EXPIRATION',
      'CERT REGENERATIONS',
      'CERT BACKEND',
      'SUPPORTED CERT BACKENDS',
      'KUMA-DP VERSION',
      'ENVOY VERSION',
      'DEPENDENCIES VERSIONS',
      'NOTES',
    ]);
    expect(web!.trim().split(/ {3,}/)).toEqual([
      'default',
      'web-1',
      'kuma.io/service=web version=v1',
      'Online',
      '1h',
      '1m',
      '12',
      '2',
      expect.stringMatching(/^\ds$/),
      '2030-01-02 03:04:05',
      '4',
      'b1',
      'b1,b2',
      '2.11.0',
      '1.40.0',
      '-',
    ]);
  });

  it('filters by tag and gateway', async () => {
    expect((await cli.weft(['inspect', 'dataplanes', '--tag', 'version=v1'])).stdout).not.toContain('gw');
    expect((await cli.weft(['inspect', 'dataplanes', '--gateway'])).stdout).not.toContain('web-1');
    expect(await cli.weft(['inspect', 'meshes', '--gateway'])).toMatchObject({ code: 2 });
  });
});

describe('inspect one proxy', () => {
  it('shows which policies apply', async () => {
    const { stdout } = await cli.weft(['inspect', 'dataplane', 'web-1']);
    expect(stdout).toContain('MeshTrafficPermission   inbound 80');
  });

  it.each([
    [['--type', 'stats'], 'web-1 /stats?usedonly'],
    [['--type', 'clusters'], 'web-1 /clusters'],
    [['--type', 'config-dump', '--include-eds'], '"web-1 /config_dump?include_eds"'],
  ])('asks its Envoy for %j', async (options, answer) => {
    expect((await cli.weft(['inspect', 'dataplane', 'web-1', ...options])).stdout).toBe(answer);
  });

  it('refuses options that belong to another type', async () => {
    for (const options of [
      ['--shadow'],
      ['--include', 'diff'],
      ['--type', 'stats', '--include-eds'],
      ['--tag', 'a=b'],
    ]) {
      expect(await cli.weft(['inspect', 'dataplane', 'web-1', ...options])).toMatchObject({ code: 2 });
    }
    expect(await cli.weft(['inspect', 'dataplane'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('a name is missing'),
    });
  });
});

describe('inspect the rest', () => {
  it('shows meshes, services and zones', async () => {
    await cli.api.seed('MeshInsight', 'default', { dataplanes: { total: 4, online: 2 } });
    const services = { web: { status: 'partially_degraded', dataplanes: { total: 2, online: 1, offline: 1 } } };
    await cli.api.seed('ServiceInsight', 'all-services-default', { services }, { mesh: 'default' });
    expect((await cli.weft(['inspect', 'meshes'])).stdout).toMatch(
      /\ndefault {3}2\/4 .* certmanager-1: Failing, NotApproved\n/,
    );
    const { items } = JSON.parse((await cli.weft(['inspect', 'meshes', '-o', 'json'])).stdout);
    expect(items[0].caBackends).toMatchObject([{ name: 'certmanager-1', state: 'Failing', roots: [{}, {}] }]);
    expect((await cli.weft(['inspect', 'services'])).stdout).toBe(
      'SERVICE   STATUS               DATAPLANES\nweb       Partially degraded   1/2\n',
    );
    expect((await cli.weft(['inspect', 'zones'])).stdout).toMatch(/^NAME {3}STATUS {3}LAST CONNECTED AGO/);
  });

  it('shows the proxies that a policy reaches', async () => {
    expect((await cli.weft(['inspect', 'meshtrafficpermission', 'allow'])).stdout).toBe(
      'TYPE        MESH      NAME\nDataplane   default   gw\nDataplane   default   web-1\n\nTotal: 2\n',
    );
    expect(await cli.weft(['inspect', 'secret', 'default'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not a policy'),
    });
    expect(await cli.weft(['inspect', 'datplane'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('did you mean dataplane'),
    });
  });
});

describe('inspect mesh', () => {
  it('shows the CA backends, what to do about them, and what is trusted', async () => {
    const { stdout } = await cli.weft(['inspect', 'mesh', 'default']);
    expect(stdout).toMatch(
      /^BACKEND +TYPE +ISSUES +STATE +REASON +SINCE\ncertmanager-1 +certmanager +yes +Failing +NotApproved +\d+d\n\nthe CertificateRequest was not approved; allow it with the policy below\n\nkind: CertificateRequestPolicy\n\ncertmanager-1: 990 wait for a certificate, 25 a second: about 40s\n\nTRUSTED CA +BACKEND +CURRENT +EXPIRES +SHA-256\nCN=new +certmanager-1 +yes +2030-01-01 00:00:00 +abcd\nCN=old +certmanager-1 +no, until its last certificate is gone +2029-01-01 00:00:00 +ef01\n$/,
    );
  });

  it('prints the data with -o json, and says when there is no such mesh', async () => {
    const { stdout } = await cli.weft(['inspect', 'mesh', 'default', '-o', 'json']);
    expect(JSON.parse(stdout)).toEqual({
      mesh: 'default',
      enabledBackend: '',
      backends: [
        {
          ...BACKENDS[0],
          since: '2026-01-01T00:00:00.000Z',
          roots: BACKENDS[0]!.roots.map((root) => ({
            ...root,
            notBefore: new Date(root.notBefore).toISOString(),
            notAfter: new Date(root.notAfter).toISOString(),
          })),
        },
      ],
      bundlePem: '',
    });
    expect((await cli.weft(['inspect', 'mesh', 'nope'])).stderr).toMatch(/nope/);
  });
});
