import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportSchema } from '../../src/cli/check/report.ts';
import { certificateDetailSchema, certificateSchema } from '../../src/rest/certificate-json.ts';
import { createTestCa, createTestLeaf } from '../../src/testing/certificates.ts';
import { eventually } from '../../src/testing/envoy.ts';
import { parseCertificates } from '../../src/x509/chain.ts';
import type { SimulatedEnvoy } from '../bench/fleet/envoy.ts';
import { type ControlPlaneFixture, startControlPlane } from './control-plane-fixture.ts';

let plane: ControlPlaneFixture;
let web: SimulatedEnvoy;
let givenKey: string;
const SECONDS = 60_000;

const secret = (name: string, text: string) =>
  plane.api('PUT', `/meshes/default/secrets/${name}`, {
    type: 'Secret',
    mesh: 'default',
    name,
    data: Buffer.from(text).toString('base64'),
  });
const meshWith = (...backends: object[]) =>
  plane.ask('PUT', '/meshes/default', {
    type: 'Mesh',
    name: 'default',
    mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }, ...backends] },
  });

beforeAll(async () => {
  plane = await startControlPlane();
  await eventually('the mesh', async () => (await plane.ask('GET', '/meshes/default')).ok, SECONDS);
  const given = await createTestCa({ subject: 'CN=given' });
  await secret('given-cert', given.pem);
  givenKey = given.keyPem;
  await secret('given-key', givenKey);
  const conf = { cert: { secret: 'given-cert' }, key: { secret: 'given-key' } };
  expect((await meshWith({ name: 'given', type: 'provided', conf })).status).toBe(200);
  const envoys = [
    { name: 'web-1', service: 'web' },
    { name: 'web-2', service: 'web' },
    { name: 'api-1', service: 'api' },
  ].map((proxy) => plane.connect(proxy));
  [web] = (await Promise.all(envoys)) as [SimulatedEnvoy];
  const all = await Promise.all(envoys);
  await eventually('all certificates', async () => all.every(({ leafAt }) => leafAt > 0), SECONDS);
}, 120_000);
afterAll(() => plane?.[Symbol.asyncDispose]());

describe('weft certs', () => {
  it('lists what is there, as a table and for programs', async () => {
    const { code, stdout } = await plane.weft('certs', 'list');
    expect(code).toBe(0);
    const [headers, ...rows] = stdout.trimEnd().split('\n');
    expect(headers).toMatch(/^PROXY +SERVICE +STATE +BACKEND +EXPIRES +LEFT +PROBLEM$/);
    expect(rows.map((row) => row.split(/ +/).slice(0, 4))).toEqual([
      ['api-1', 'api', 'valid', 'ca-1'],
      ['web-1', 'web', 'valid', 'ca-1'],
      ['web-2', 'web', 'valid', 'ca-1'],
    ]);
    expect((await plane.weft('certs', 'list', '-o', 'wide')).stdout).toMatch(/SERIAL +ISSUER +RENEWAL +NUMBER/);
    const { items } = JSON.parse((await plane.weft('certs', 'list', '--service', 'web', '-o', 'json')).stdout);
    for (const item of items) certificateSchema.parse(item);
    expect(items.map(({ name }: { name: string }) => name)).toEqual(['web-1', 'web-2']);
    expect((await plane.weft('certs', 'list', '--state', 'overdue,expired')).stdout.split('\n')).toHaveLength(2);
  });

  it('tells a script by its exit code that certificates are near their end', async () => {
    expect((await plane.weft('certs', 'list', '--expires-in', '20%')).code).toBe(0);
    const { code, stdout, stderr } = await plane.weft('certs', 'list', '--expires-in', '30d');
    expect([code, stdout.split('\n').length]).toEqual([1, 5]);
    expect(stderr).toContain('3 certificates have no more than 30d left');
    expect((await plane.weft('certs', 'list', '--expires-in', 'soon')).code).toBe(2);
  });

  it('shows the certificate that the proxy has', async () => {
    const { code, stdout } = await plane.weft('certs', 'show', 'web-1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Proxy: +web-1, mesh default\nState: +valid\nSPIFFE ID: +spiffe:\/\/default\/web\n/);
    expect(stdout.toLowerCase()).toContain(web.serial.toLowerCase());
    const detail = certificateDetailSchema.parse(
      JSON.parse((await plane.weft('certs', 'show', 'web-1', '-o', 'json')).stdout),
    );
    expect(detail).toMatchObject({ expectedUriSans: detail.uriSans, generation: 1 });
    const pem = (await plane.weft('certs', 'show', 'web-1', '--pem')).stdout;
    expect(parseCertificates(pem)).toHaveLength(1);
    expect(pem + stdout).not.toContain('PRIVATE KEY');
    expect((await plane.weft('certs', 'show', 'nobody')).code).toBe(1);
  });

  it('renews one on request, and remembers why', async () => {
    const former = web.serial;
    const { code, stdout, stderr } = await plane.weft('certs', 'renew', 'web-1', '--wait', '60s');
    expect([code, stdout], stderr).toEqual([0, 'the certificate of web-1 is renewed\n']);
    await eventually('the new one in the proxy', async () => web.serial !== former, SECONDS);
    const history = await plane.weft('certs', 'history', 'web-1', '-o', 'json');
    expect(JSON.parse(history.stdout).history).toMatchObject([
      { generation: 2, reason: 'requested', serial: web.serial.toLowerCase() },
      { generation: 1, reason: 'none-held', serial: former.toLowerCase() },
    ]);
  });

  it('renews a service spread over time, and not again at once', async () => {
    // A renewal of one was asked for a moment ago, which leaves no full measure.
    const many = () => plane.weft('certs', 'renew', '--service', 'web');
    const { code, stdout } = await eventually(
      'a full measure',
      async () => {
        const result = await many();
        return result.code === 0 && result;
      },
      SECONDS,
    );
    expect([code, stdout]).toEqual([0, '2 certificates are renewed within about 15m\n']);
    const again = await many();
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/try again in \d+ s/)]);
    expect((await plane.weft('certs', 'renew', 'web-1', '--all')).code).toBe(2);
  });

  it('verifies what proxies have, and says what is wrong with what others have', async () => {
    const good = await plane.weft('certs', 'verify', 'api-1');
    expect([good.code, good.stdout.match(/^✓/gm)?.length], good.stderr).toEqual([0, 5]);
    const file = join(plane.folder, 'other.pem');
    const other = await createTestCa();
    writeFileSync(file, (await createTestLeaf(other, { from: -20_000, to: -10_000 })).pem);
    const bad = await plane.weft('certs', 'verify', '--file', file, '-o', 'json');
    expect(bad.code).toBe(1);
    const { ok, checks } = JSON.parse(bad.stdout);
    const wrong = checks.filter((check: { ok: boolean }) => !check.ok);
    expect([ok, wrong.map(({ name }: { name: string }) => name)]).toEqual([false, ['chain', 'dates']]);
    writeFileSync(join(plane.folder, 'ca.pem'), other.pem);
    const offline = await plane.weft('certs', 'verify', '--file', file, '--ca-file', join(plane.folder, 'ca.pem'));
    expect(offline.stdout).toMatch(/^✓ chain: .*\n✗ dates: the leaf expired at /);
  });
});

describe('weft ca test', () => {
  it('issues a certificate that nobody uses with every backend, and times each step', async () => {
    for (const backend of ['ca-1', 'given']) {
      const { code, stdout, stderr } = await plane.weft('ca', 'test', backend);
      expect(code, stdout + stderr).toBe(0);
      expect(stdout).toMatch(
        /✓ trust +\d+ ms .*\n✓ issue +\d+ ms .*\n✓ check +\d+ ms .*\n✓ handshake +\d+ ms +TLSv1.3/,
      );
    }
    const certificates = JSON.parse((await plane.weft('certs', 'list', '-o', 'json')).stdout);
    expect(certificates.total).toBe(3);
    expect((await plane.weft('ca', 'test', 'none')).code).toBe(1);
  });

  it('says what is in the way, for people and for programs, and how often it may be asked', async () => {
    await secret('given-key', 'not a key');
    const { code, stdout } = await plane.weft('ca', 'test', 'given', '-o', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      steps: [{ name: 'trust', ok: false }],
      findings: [
        { field: 'mtls.backends[1].conf', message: expect.stringContaining('correct its conf.cert and conf.key') },
      ],
    });
    expect((await plane.weft('ca', 'test', 'given')).stdout).toMatch(
      /✗ trust .*\n\nmtls\.backends\[1\]\.conf: ask what to trust: /,
    );
    const answers: Response[] = [];
    while (answers.at(-1)?.status !== 429 && answers.length < 20) {
      answers.push(await plane.ask('POST', '/meshes/default/_mtls/given/_test'));
    }
    expect(Number(answers.at(-1)!.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('weft check without Kubernetes', () => {
  it('is content with a control plane that is well, and looks at its own certificates and keys', async () => {
    await secret('given-key', givenKey);
    const { code, stdout, stderr } = await eventually(
      'all to be well',
      async () => {
        const result = await plane.weft('check', '--fail-on', 'warning', '-o', 'json');
        return result.code === 0 && result;
      },
      SECONDS,
    );
    expect(code, stdout + stderr).toBe(0);
    const report = reportSchema.parse(JSON.parse(stdout));
    const ids = report.checks.map(({ id, outcome }) => `${id} ${outcome}`);
    for (const id of [
      'own-certificates',
      'signing-keys',
      'leaves-valid',
      'leaves-renewed',
      'backend-ready',
      'ca-valid',
    ])
      expect(ids).toContain(`${id} ok`);
  });

  it('fails before a certificate does', async () => {
    const { code, stdout } = await plane.weft('check', '--expires-in', '25h');
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/✗ leaves-valid: 3 of 3 have one that should have been replaced/),
    ]);
  });
});
