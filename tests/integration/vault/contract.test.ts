import { afterAll, beforeAll, describe } from 'vitest';
import { vaultCa } from '../../../src/ca/vault/backend.ts';
import { createCaDependencies, describeCaBackend } from '../../../src/testing/ca-contract.ts';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../../src/testing/openbao.ts';
import { createTestPki, testEgress } from '../../../src/testing/openbao-pki.ts';

const missing = missingOpenBao();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

describe.skipIf(missing !== undefined)(`vault${missing === undefined ? '' : ` (${missing})`}`, () => {
  let bao: OpenBao;
  beforeAll(async () => {
    bao = await startOpenBao();
  });
  afterAll(() => bao?.close());

  const deps = () => createCaDependencies({ egress: testEgress() });
  const longest = { role: { max_ttl: '87600h' } };

  describeCaBackend('vault with sign', async () => ({
    kind: vaultCa,
    config: (await createTestPki(bao, longest)).config(),
    deps: deps(),
  }));

  describeCaBackend('vault with issue', async () => {
    const pki = await createTestPki(bao, { role: { max_ttl: '87600h', key_type: 'ec' } });
    const token = await pki.token(['issue']);
    return { kind: vaultCa, config: pki.config({ auth: { token: { inlineString: token } } }), deps: deps() };
  });
});
