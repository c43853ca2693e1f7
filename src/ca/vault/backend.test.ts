import { describe, expect, it } from 'vitest';
import { createCaDependencies, createMemorySecrets } from '../../testing/ca-contract.ts';
import { createTestCa, createTestLeaf } from '../../testing/certificates.ts';
import { vaultCa } from './backend.ts';

const BASE = { address: 'https://vault.example.com:8200', pki: 'pki', role: 'r' };
const PATH = 'mtls.backends[0].conf';

async function violations(fromCp: object, secrets: Record<string, string> = {}) {
  const config = { mesh: 'default', name: 'vault-1', type: 'vault', conf: { fromCp: { ...BASE, ...fromCp } } };
  return vaultCa.validate(config, PATH, createCaDependencies({ secrets: createMemorySecrets(secrets) }));
}

describe('what a vault backend stands on', async () => {
  const ca = await createTestCa();
  const leaf = await createTestLeaf(ca);
  const other = await createTestLeaf(ca);
  const tls = (cert: string, key: string) => ({
    auth: { tls: { clientCert: { inlineString: cert }, clientKey: { inlineString: key } } },
  });

  it('is fine when all of it can be loaded and fits', async () => {
    expect(await violations(tls(leaf.pem, leaf.keyPem))).toEqual([]);
    const fromCp = { auth: { token: { secret: 'token' } }, tls: { caCert: { secret: 'ca' } } };
    expect(await violations(fromCp, { token: 's.1', ca: ca.pem })).toEqual([]);
  });

  it('is refused at the field of each Secret that is not there', async () => {
    const fromCp = { auth: { token: { secret: 'token' } }, tls: { caCert: { secret: 'ca' } } };
    expect(await violations(fromCp)).toMatchObject([
      { field: `${PATH}.fromCp.tls.caCert`, message: expect.stringContaining('name="ca"') },
      { field: `${PATH}.fromCp.auth.token`, message: expect.stringContaining('name="token"') },
    ]);
  });

  it.each([
    ['a CA that is none', { auth: { aws: {} }, tls: { caCert: { inlineString: 'x' } } }, 'tls.caCert'],
    ['a client certificate that is none', tls('x', leaf.keyPem), 'auth.tls.clientCert'],
    ['a client key that is none', tls(leaf.pem, 'x'), 'auth.tls.clientKey'],
    ['the key of another certificate', tls(leaf.pem, other.keyPem), 'auth.tls.clientKey'],
    ['a file outside of what is allowed', { auth: { token: { file: '/proc/self/environ' } } }, 'auth.token'],
  ])('is refused with %s', async (_name, fromCp, field) => {
    const found = await violations(fromCp);
    expect(found).toMatchObject([{ field: `${PATH}.fromCp.${field}` }]);
    expect(JSON.stringify(found)).not.toContain('PRIVATE KEY-----\\n');
  });

  it('is said by an opened backend too, to whoever asks it', async () => {
    const config = { mesh: 'default', name: 'vault-1', type: 'vault', conf: { fromCp: BASE } };
    const backend = vaultCa.open(config, createCaDependencies());
    await expect(backend.trustAnchors(new AbortController().signal)).rejects.toMatchObject({
      code: 'not-configured',
      message: expect.stringMatching(/conf\.fromCp\.auth exactly one of/),
    });
  });
});
