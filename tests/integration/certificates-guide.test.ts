import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventually } from '../../src/testing/envoy.ts';
import { ROOT, shellBlocks } from '../e2e/guide-shell.ts';
import { startGuidePlane } from './guide-plane.ts';

const SECONDS = 60_000;

it('every command of docs/guides/certificates.md works', async () => {
  await using guide = await startGuidePlane();
  const { shell } = guide;
  let output = '';
  for (const { script } of shellBlocks(readFileSync(join(ROOT, 'docs/guides/certificates.md'), 'utf8'))) {
    // Renewals are limited, and a reader is slower than a test.
    const result = await eventually(
      script,
      async () => {
        const one = await shell.run(script);
        return !one.output.includes('try again in') && one;
      },
      SECONDS,
    );
    output += result.output;
    expect(result.code, `${script}\n${result.output}`).toBe(0);
  }
  expect(output).toContain('the certificate of web-1 is renewed');
  expect(output).toMatch(/✓ handshake/);
}, 180_000);
