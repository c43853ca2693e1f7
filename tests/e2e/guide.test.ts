import { expect, it } from 'vitest';
import { runGuide } from './run-guide.ts';

it('every command of docs/guides/universal.md works', async () => {
  const output = await runGuide({
    guide: 'universal.md',
    ports: { 8080: undefined, 8090: undefined, 10080: undefined, 10081: undefined },
  });
  expect(output).toMatch(/default +builtin\/ca-1/);
  expect(output).toMatch(/web-1 .*Online/);
  expect(output).toContain('mtls.enabledBackend');
}, 120_000);
