import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { metricsReference } from '../../scripts/metrics-reference.ts';

it('docs/reference/metrics.md is what the sources declare; run node scripts/generate-docs.ts', () => {
  const printed = readFileSync(new URL('../../docs/reference/metrics.md', import.meta.url), 'utf8');
  expect(printed).toBe(metricsReference());
});
