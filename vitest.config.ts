import { defineConfig } from 'vitest/config';

const slow = { pool: 'forks' as const, fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 };

/** Three projects: `unit` beside the sources, `integration` with one real neighbour each, `e2e` with the whole mesh. */
export default defineConfig({
  test: {
    reporters: ['default', './tests/reporter.ts'],
    projects: [
      { test: { name: 'unit', include: ['src/**/*.test.ts'], testTimeout: 20_000 } },
      { test: { name: 'integration', include: ['tests/integration/**/*.test.ts'], ...slow } },
      { test: { name: 'e2e', include: ['tests/e2e/**/*.test.ts'], ...slow } },
    ],
  },
});
