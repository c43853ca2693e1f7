import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMMANDS } from './commands.ts';
import { cliReference } from './reference.ts';

it('is what docs/reference/cli.md holds; print it anew with `node scripts/generate-docs.ts`', () => {
  const file = new URL('../../docs/reference/cli.md', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(cliReference());
});

it('has an example for every command', () => {
  for (const spec of COMMANDS) expect(spec.examples.length, spec.path).toBeGreaterThan(0);
});
