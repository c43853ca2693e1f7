import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configReference } from './config-reference.ts';

it('is what docs/reference/control-plane-config.md holds; print it anew with `node scripts/generate-docs.ts`', () => {
  const file = new URL('../../docs/reference/control-plane-config.md', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(configReference());
});
