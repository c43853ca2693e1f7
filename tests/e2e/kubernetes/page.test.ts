import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingCluster } from '../../cluster/binaries.ts';
import {
  ALLOW_ALL,
  APP_PORT,
  createTestCa,
  createWorld,
  eventually,
  pageMesh,
  SHOP,
  SYSTEM,
  type World,
} from './world.ts';

const missing = missingCluster('node');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const API = `http://api.${SHOP}:${APP_PORT}/`;

describe.skipIf(missing !== undefined)(`the page, Pod to Pod${missing === undefined ? '' : ` (${missing})`}`, () => {
  let world: World;
  let ca: Awaited<ReturnType<typeof createTestCa>>;

  beforeAll(async () => {
    world = await createWorld();
    ca = await createTestCa({ subject: 'CN=page-ca', uriSans: [] });
    await world.applyIssuer({ name: 'my-ca-issuer', ca });
    await world.apply(pageMesh({ ca: ca.pem }), ALLOW_ALL);
    await Promise.all([
      world.deploy({ name: 'api', count: 1, args: ['server', String(APP_PORT)] }),
      world.deploy({ name: 'web', count: 1, args: ['client', '9999', '0'] }),
    ]);
  }, 1_500_000);

  afterAll(() => world?.close(), 60_000);

  const meshReady = (what: string) =>
    eventually(what, 30_000, async () => {
      const mesh = await world.json('get', 'mesh', 'default');
      const ready = mesh.status?.conditions?.find((one: { type: string }) => one.type === 'Ready');
      return ready?.status === 'True' && ready.observedGeneration === mesh.metadata.generation && mesh;
    });

  it('lets the application call a plain Service address, and its peer sees its SPIFFE ID', async () => {
    const answer = await eventually('web reaches api', 30_000, async () => {
      const got = await world.call('web', API);
      return got.status === 200 && got;
    });
    const { clientCertificate } = JSON.parse(answer.body!);
    expect(clientCertificate).toContain(`URI=spiffe://default/web_${SHOP}_svc_${APP_PORT}`);
  });

  it('serves leaves that the CA of the Issuer signed', async () => {
    const [leaf] = await world.leaves('api');
    expect(leaf!.issuer).toBe('CN=page-ca');
    expect(leaf!.subjectAltName).toContain(`URI:spiffe://default/api_${SHOP}_svc_${APP_PORT}`);
  });

  it('refuses a Pod without a sidecar', async () => {
    await world.deploy({ name: 'stranger', count: 1, args: ['client', '9999', '0'], namespace: 'outside' });
    const answer = await world.call('stranger', API);
    expect(answer.status).toBeUndefined();
    expect(answer.error).toBeTruthy();
  });

  it('leaves no CertificateRequest behind', async () => {
    await eventually('no CertificateRequest', 10_000, async () => {
      const { items } = await world.json('-n', SYSTEM, 'get', 'certificaterequests');
      return items.length === 0;
    });
  });

  it('issues without caCert, kind and group: status.ca says what to trust', async () => {
    await world.apply(pageMesh({ conf: { issuerRef: { name: 'my-ca-issuer' } } }));
    await meshReady('the Mesh without caCert is Ready');
    expect((await world.call('web', API)).status).toBe(200);
  });

  it('changes to a ClusterIssuer with another CA: both trusted, then leaves of the new one', async () => {
    const other = await createTestCa({ subject: 'CN=cluster-ca', uriSans: [] });
    await world.applyIssuer({ name: 'cluster-ca', kind: 'ClusterIssuer', ca: other });
    const conf = { issuerRef: { name: 'cluster-ca', kind: 'ClusterIssuer' } };
    // Leaves of a CA that was left are replaced spread over a quarter of their life.
    await world.apply(pageMesh({ conf, expiration: '1m' }));
    await eventually('api shows a leaf of the ClusterIssuer', 60_000, async () => {
      expect((await world.call('web', API)).status).toBe(200);
      return (await world.leaves('api')).every((leaf) => leaf.issuer === 'CN=cluster-ca');
    });
  });

  it('takes caCert from a mesh Secret', async () => {
    await world.apply(
      {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'system.kuma.io/secret',
        metadata: { name: 'issuer-root', namespace: SYSTEM, labels: { 'kuma.io/mesh': 'default' } },
        data: { value: Buffer.from(ca.pem).toString('base64') },
      },
      pageMesh({ conf: { issuerRef: { name: 'my-ca-issuer' }, caCert: { secret: 'issuer-root' } }, expiration: '1m' }),
    );
    await eventually('api shows a leaf of the Issuer again', 60_000, async () => {
      expect((await world.call('web', API)).status).toBe(200);
      return (await world.leaves('api')).every((leaf) => leaf.issuer === 'CN=page-ca');
    });
  });

  it('refuses a typing error in issuerRef before any proxy is touched', async () => {
    const typo = pageMesh({ conf: { issuerRef: { nmae: 'my-ca-issuer' } } });
    await expect(world.apply(typo)).rejects.toThrow(/spec\.mtls\.backends\[0\]\.conf\.issuerRef/);
    expect((await world.call('web', API)).status).toBe(200);
  });

  it("never read the CA's Secret", () => {
    const account = `system:serviceaccount:${SYSTEM}:weft-control-plane`;
    const secrets = world.cluster
      .audit!.events()
      .filter((event) => event.user.username === account && event.objectRef?.resource === 'secrets');
    expect(secrets.length).toBeGreaterThan(0);
    const wrong = secrets.filter(({ objectRef, requestURI, verb }) => {
      if (objectRef?.namespace !== SYSTEM) return true;
      if (verb === 'list' || verb === 'watch') {
        return !/fieldSelector=(type%3Dsystem\.kuma\.io%2F|metadata\.name%3Dweft-)/.test(requestURI);
      }
      return objectRef.name === 'my-ca-issuer-ca' || objectRef.name === 'cluster-ca-ca';
    });
    expect(wrong).toEqual([]);
  });
});
