import type { Clock } from '../lib/clock.ts';
import { createLocalStore } from './local-store.ts';
import type { ResourceStore } from './store.ts';

/** A store that forgets everything when the process ends: tests, and trying things out. */
export function createMemoryStore(options: { clock: Clock }): ResourceStore {
  return createLocalStore({
    engine: 'memory',
    clock: options.clock,
    journal: {
      load: () => ({ resources: [], lastVersion: 0 }),
      commit() {},
      flush: () => Promise.resolve(),
      close: () => Promise.resolve(),
    },
  });
}
