import { defineConfig } from 'vitest/config';

/** One more attempt in CI, where a busy machine is slow at times: the reporter names who needed it. */
const retry = process.env['CI'] === 'true' ? 1 : 0;
const slow = { pool: 'forks' as const, fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000, retry };

/** Three projects, one after the other: `unit` beside the sources, `integration` with one real neighbour each, `e2e` with the whole mesh. */
export default defineConfig({
  test: {
    reporters: ['default', './tests/reporter.ts'],
    projects: [
      {
        test: { name: 'unit', include: ['src/**/*.test.ts'], testTimeout: 20_000, retry, sequence: { groupOrder: 0 } },
      },
      {
        test: {
          name: 'integration',
          include: ['tests/integration/**/*.test.ts'],
          ...slow,
          sequence: { groupOrder: 1 },
        },
      },
      { test: { name: 'e2e', include: ['tests/e2e/**/*.test.ts'], ...slow, sequence: { groupOrder: 2 } } },
    ],
  },
});
