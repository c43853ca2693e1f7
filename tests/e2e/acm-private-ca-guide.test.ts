import { afterEach, beforeEach, expect, it } from 'vitest';
import { MOTO_ENVIRONMENT, MOTO_REGION, type Moto, missingMoto, startMoto } from '../../src/testing/moto.ts';
import { runGuide } from './run-guide.ts';

const missing = missingMoto();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

let moto: Moto;
beforeEach(async () => {
  if (missing === undefined) moto = await startMoto();
});
afterEach(() => moto?.close());

it.skipIf(missing !== undefined)(
  `every command of docs/guides/acm-private-ca.md works${missing === undefined ? '' : ` (${missing})`}`,
  async () => {
    const output = await runGuide({
      guide: 'acm-private-ca.md',
      ports: { 8080: undefined, 10080: undefined },
      // moto instead of AWS.
      edits: [`s#^\\( *\\)arn: .*#&\\n\\1endpoint: ${moto.endpoint}#`],
      prologue: [
        `export WEFT_CA_ALLOWED_ENDPOINTS=${new URL(moto.endpoint).host}`,
        `aws() { python3 -m awscli --endpoint-url ${moto.endpoint} "$@"; }`,
      ],
      env: {
        ...MOTO_ENVIRONMENT,
        AWS_DEFAULT_REGION: MOTO_REGION,
        AWS_ACCESS_KEY_ID: 'somebody',
        AWS_SECRET_ACCESS_KEY: 'who may make a CA',
      },
    });
    expect(output).toMatch(/✓ handshake/);
    expect(output).toMatch(/about 0 certificates a month: 0 proxies, leaves of 24 h/);
    expect(output).toMatch(/api-1 .* valid/);
  },
  180_000,
);
