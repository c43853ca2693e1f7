import { afterEach, beforeEach, expect, it } from 'vitest';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../src/testing/openbao.ts';
import { runGuide } from './run-guide.ts';

const missing = missingOpenBao();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

let bao: OpenBao;
beforeEach(async () => {
  if (missing === undefined) bao = await startOpenBao();
});
afterEach(() => bao?.close());

it.skipIf(missing !== undefined)(
  `every command of docs/guides/vault.md works${missing === undefined ? '' : ` (${missing})`}`,
  async () => {
    const output = await runGuide({
      guide: 'vault.md',
      ports: { 8200: bao.port, 8090: undefined, 10081: undefined, 10090: undefined, 9902: undefined },
      prologue: [`vault() { "${bao.program}" "$@"; }`],
      env: { BAO_ADDR: bao.address, BAO_TOKEN: bao.rootToken, BAO_CACERT: 'vault-ca.pem' },
      files: { 'vault-ca.pem': bao.caPem },
    });
    expect(output).toMatch(/✓ handshake/);
    expect(output).toMatch(/wants a common name/);
    expect(output).toMatch(/cuts the life of leaves to 1h/);
    expect(output).toMatch(/web-1 .*valid/);
  },
  120_000,
);
