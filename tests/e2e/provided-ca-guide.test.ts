import { expect, it } from 'vitest';
import { runGuide } from './run-guide.ts';

it('every command of docs/guides/provided-ca.md works', async () => {
  const output = await runGuide({ guide: 'provided-ca.md', ports: { 8080: undefined, 10080: undefined } });
  expect(output).toMatch(/✓ handshake/);
  expect(output).toContain('mtls.backends[0].conf.key');
  expect(output).toMatch(/ca-own +provided +yes +Ready/);
}, 120_000);
