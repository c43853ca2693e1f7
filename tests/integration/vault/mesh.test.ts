import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../../src/testing/openbao.ts';
import { createTestPki, type TestPki } from '../../../src/testing/openbao-pki.ts';
import { type ControlPlaneFixture, startControlPlane } from '../control-plane-fixture.ts';

const missing = missingOpenBao();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

describe.skipIf(missing !== undefined)(
  `a Mesh that brings in a vault backend${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let bao: OpenBao;
    let plane: ControlPlaneFixture;
    let pki: TestPki;
    let made = 0;
    let mesh = '';
    beforeAll(async () => {
      bao = await startOpenBao();
      plane = await startControlPlane({ WEFT_CA_ALLOWED_ENDPOINTS: 'localhost' });
    }, 120_000);
    beforeEach(async () => {
      made += 1;
      mesh = `mesh-${made}`;
      pki = await createTestPki(bao, { mesh });
    });
    afterAll(async () => {
      await plane?.[Symbol.asyncDispose]();
      await bao?.close();
    });

    const backend = (fromCp: object = {}) => {
      const { name, type, conf } = pki.config(fromCp);
      return { name, type, conf };
    };
    const put = (first: object, change: object = {}, top: object = {}) => {
      const mtls = { enabledBackend: 'vault-1', backends: [first], ...change };
      return plane.ask('PUT', `/meshes/${mesh}`, { type: 'Mesh', name: mesh, mtls, ...top });
    };
    /** The fields at fault. */
    const refusal = async (answer: Response) => {
      expect(answer.status).toBe(400);
      const body = (await answer.json()) as { invalid_parameters: { field: string; reason: string }[] };
      return body.invalid_parameters;
    };

    it('is taken when a probe certificate passes every check, and counts it', async () => {
      expect((await put(backend())).status).toBe(201);
      expect(await rehearsals()).toBe(1);
      const { code, stdout } = await plane.weft('ca', 'test', 'vault-1', '--mesh', mesh);
      expect(code, stdout).toBe(0);
      expect(stdout).toMatch(/✓ rights .*\n✓ issue .*\n✓ check .*\n✓ handshake .*TLSv1\.3/);
    });

    it('is refused with field, reason and what to paste when the role would drop the names', async () => {
      await pki.writeRole({ allowed_uri_sans: 'spiffe://elsewhere/*' });
      const [first] = await refusal(await put(backend()));
      expect(first!.field).toBe('mtls.backends[0].conf.fromCp.role');
      expect(first!.reason).toMatch(/; to mend it:\n(bao|vault) write /);
      expect((await plane.ask('GET', `/meshes/${mesh}`)).status).toBe(404);
      // Whoever has to write it anyway says so.
      expect((await put(backend(), { skipValidation: true })).status).toBe(201);
      const { code, stdout } = await plane.weft('ca', 'test', 'vault-1', '--mesh', mesh);
      expect([code, stdout]).toEqual([1, expect.stringMatching(/\n {4}(bao|vault) write /)]);
    });

    it('is refused when the policy does not let it sign, with the line that is missing', async () => {
      const token = await pki.token(['read-role']);
      const [first] = await refusal(await put(backend({ auth: { token: { inlineString: token } } })));
      expect(first!.field).toBe('mtls.backends[0].conf.fromCp.auth');
      expect(first!.reason).toContain(`path "${pki.mount}/sign/${pki.role}"`);
    });

    it('is taken with a policy that only lets the issuer make the key, and says what follows', async () => {
      const token = await pki.token(['issue']);
      await pki.writeRole({ key_type: 'ec' });
      expect((await put(backend({ auth: { token: { inlineString: token } } }))).status).toBe(201);
      const { code, stdout } = await plane.weft('ca', 'test', 'vault-1', '--mesh', mesh);
      expect(code, stdout).toBe(0);
      expect(stdout).toMatch(/✓ issue .*`weft dp run` needs `--keys control-plane`\n✓ check .*\n✓ handshake/);
    });

    it('is refused when nobody answers, and not asked about again by edits that leave the backend alone', async () => {
      const [first] = await refusal(await put(backend({ address: 'https://localhost:1' })));
      expect(first!.field).toMatch(/^mtls\.backends\[0\]\.conf/);
      expect((await put(backend())).status).toBe(201);
      const before = await rehearsals();
      await bao.seal();
      try {
        expect((await put(backend(), {}, { routing: { localityAwareLoadBalancing: true } })).status).toBe(200);
        const other = { ...backend(), dpCert: { rotation: { expiration: '1h' } } };
        expect((await put(other)).status).toBe(200);
      } finally {
        await bao.unseal();
      }
      expect(await rehearsals()).toBe(before);
    });

    async function rehearsals(): Promise<number> {
      const metrics = await fetch(`http://127.0.0.1:${plane.info.diagnosticsPort}/metrics`);
      const lines = (await metrics.text()).matchAll(/^weft_ca_rehearsals\{.*\} (\d+)$/gm);
      return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
    }
  },
);
