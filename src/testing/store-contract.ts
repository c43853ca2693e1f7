import { afterEach, beforeEach, describe, expect } from 'vitest';
import type { Clock } from '../lib/clock.ts';
import type { ResourceStore } from '../store/store.ts';
import { listsContract } from './store-contract/lists.ts';
import { resourcesContract } from './store-contract/resources.ts';
import { transactionsContract } from './store-contract/transactions.ts';
import { watchContract } from './store-contract/watch.ts';
import { createSettableClock, type SettableClock, type StoreCapabilities } from './store-contract/world.ts';

/** A store under test, on empty ground. */
export interface StoreUnderTest {
  readonly store: ResourceStore;
  /** Called after the test; the store may be closed already. */
  cleanup(): Promise<void>;
}

const EVERYTHING: StoreCapabilities = {
  ownClock: true,
  transactions: true,
  commitOrder: true,
  freeNames: true,
  exactJson: true,
};

/**
 * What every engine must do; run it from the engine's own test file. Each test gets a store of its own from `makeStore`. An engine that cannot do everything
 * says so in `capabilities`, and is asked for the rest.
 */
export function storeContract(
  name: string,
  makeStore: (clock: Clock) => Promise<StoreUnderTest>,
  real: Clock,
  capabilities: StoreCapabilities = EVERYTHING,
): void {
  describe(`${name} store contract`, () => {
    let clock: SettableClock;
    let store: ResourceStore;
    let cleanup: () => Promise<void>;
    let watching: AbortController;

    beforeEach(async () => {
      clock = createSettableClock(real);
      ({ store, cleanup } = await makeStore(clock));
      watching = new AbortController();
    });

    afterEach(async () => {
      watching.abort();
      await cleanup();
    });

    const world = {
      get store() {
        return store;
      },
      get clock() {
        return clock;
      },
      can: capabilities,
      watch: (types?: readonly string[]) =>
        store.watch({ signal: watching.signal, ...(types !== undefined && { types }) }),
      time: (iso: string) => (capabilities.ownClock ? iso : expect.stringMatching(/^20\d\d-.*Z$/)),
    };
    resourcesContract(world);
    transactionsContract(world);
    listsContract(world);
    watchContract(world);
  });
}
