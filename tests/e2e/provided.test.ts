import { afterEach, beforeEach, expect, it } from 'vitest';
import { createTestCa, type TestCertificate } from '../../src/testing/certificates.ts';
import { allowAll, createTestMesh, eventually, http, type TestMesh } from './mesh.ts';

let mesh: TestMesh;
let ca: TestCertificate;
beforeEach(async () => {
  ca = await createTestCa({ subject: 'O=Example, CN=company root' });
  mesh = await createTestMesh();
  await mesh.startControlPlane();
});
afterEach(() => mesh?.close());

const provided = (conf: Record<string, unknown>) => ({
  type: 'Mesh',
  name: 'default',
  mtls: { enabledBackend: 'company', backends: [{ name: 'company', type: 'provided', conf }] },
});
const base64 = (text: string) => Buffer.from(text).toString('base64');
const secret = (name: string, text: string) => ({ type: 'Secret', mesh: 'default', name, data: base64(text) });

it.each([
  ['secrets', () => ({ cert: { secret: 'company-cert' }, key: { secret: 'company-key' } })],
  ['inline', () => ({ cert: { inline: base64(ca.pem) }, key: { inline: base64(ca.keyPem) } })],
  ['inlineString', () => ({ cert: { inlineString: ca.pem }, key: { inlineString: ca.keyPem } })],
])('a provided CA from %s signs what the proxies present', async (_source, conf) => {
  await mesh.put(secret('company-cert', ca.pem));
  await mesh.put(secret('company-key', ca.keyPem));
  await mesh.put(provided(conf()));
  await mesh.put(allowAll());
  const service = await mesh.startService('api');
  await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: service.port });
  const web = await mesh.startProxy({ name: 'web-1', service: 'web', calls: ['api'] });
  const answer = await eventually('web reaches api', 30_000, async () => {
    const found = await http(`http://127.0.0.1:${web.outbounds.get('api')}/`);
    return found.status === 200 && found;
  });
  expect(JSON.parse(answer.body).clientCertificate).toContain('URI=spiffe://default/web');
  const { dataplaneInsight } = await eventually('the issuer is in the API', 10_000, async () => {
    const found = await mesh.ok('GET', '/meshes/default/dataplanes/web-1/_overview');
    return found.dataplaneInsight?.weft?.certificate && found;
  });
  expect(dataplaneInsight.weft.certificate.issuer).toContain('company root');
});

it('a secret that a backend stands on cannot be deleted', async () => {
  await mesh.put(secret('company-cert', ca.pem));
  await mesh.put(secret('company-key', ca.keyPem));
  await mesh.put(provided({ cert: { secret: 'company-cert' }, key: { secret: 'company-key' } }));
  const refused = await mesh.api('DELETE', '/meshes/default/secrets/company-key');
  expect(refused.status).toBe(400);
  expect(JSON.parse(refused.body).invalid_parameters).toMatchObject([{ field: 'name' }]);
});

it('refuses bad CAs with the field, and stores nothing', async () => {
  const leafAsCa = await createTestCa({ isCa: false });
  const noCertSign = await createTestCa({ keyUsage: 1 });
  const other = await createTestCa();
  const good = { cert: { inlineString: ca.pem }, key: { inlineString: ca.keyPem } };
  const conf = 'mtls.backends[0].conf';
  const cases: [string, Record<string, unknown>, string[]][] = [
    ['no cert', { key: good.key }, [`${conf}.cert`]],
    ['no key', { cert: good.cert }, [`${conf}.key`]],
    ['neither', {}, [`${conf}.cert`, `${conf}.key`]],
    ['no data source', { cert: {}, key: good.key }, [`${conf}.cert`]],
    ['a secret that is not there', { cert: { secret: 'nope' }, key: good.key }, [`${conf}.cert`]],
    ['another key', { cert: good.cert, key: { inlineString: other.keyPem } }, [`${conf}.cert`]],
    ['no CA', { cert: { inlineString: leafAsCa.pem }, key: { inlineString: leafAsCa.keyPem } }, [`${conf}.cert[0]`]],
    [
      'no keyCertSign',
      { cert: { inlineString: noCertSign.pem }, key: { inlineString: noCertSign.keyPem } },
      [`${conf}.cert[0]`],
    ],
  ];
  for (const [what, given, fields] of cases) {
    const answer = await mesh.api('PUT', '/meshes/default', provided(given));
    expect([what, answer.status]).toEqual([what, 400]);
    const found: string[] = JSON.parse(answer.body).invalid_parameters.map(({ field }: { field: string }) => field);
    for (const field of fields) expect([what, found]).toEqual([what, expect.arrayContaining([field])]);
    expect(answer.body).not.toContain('PRIVATE KEY');
  }
  expect((await mesh.ok('GET', '/meshes/default')).mtls).toBeUndefined();
});
