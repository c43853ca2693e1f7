import type { Clock } from '../lib/clock.ts';
import type { Resource } from '../resources/resource.ts';
import { createChangeFeed } from './change-feed.ts';
import { type Outcome, planWrites, toStored } from './plan-writes.ts';
import { createResourceTable } from './resource-table.ts';
import { singleWrites } from './single-writes.ts';
import { type ResourceStore, StoreError, type Write } from './store.ts';

/** Where a local store keeps what it must not forget. */
export interface Journal {
  /** What was kept, and the number of the last write. Called once. */
  load(): { readonly resources: Iterable<Resource>; readonly lastVersion: number };
  /** Writes a transaction, all or nothing, before it returns. Throws `unavailable`, and then nothing is written. */
  commit(outcomes: Iterable<Outcome>, lastVersion: number): void;
  /** Resolves when everything committed so far would survive a loss of power. Rejects with `unavailable`. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A store of one process: reads and watches are served from memory, writes go through the journal first.
 * A write is seen by readers when it is committed, and acknowledged to its writer when it is flushed.
 */
export function createLocalStore(options: { engine: string; clock: Clock; journal: Journal }): ResourceStore {
  const { engine, clock, journal } = options;
  const table = createResourceTable();
  const feed = createChangeFeed((types) => table.all(types));
  const kept = journal.load();
  for (const resource of kept.resources) {
    table.set({ type: resource.type, mesh: resource.meta.mesh, name: resource.meta.name }, resource);
  }
  let lastVersion = kept.lastVersion;
  let closing: Promise<void> | undefined;

  function assertOpen(): void {
    if (closing !== undefined) throw new StoreError('unavailable', `use the ${engine} store: it is closed`);
  }

  async function transact(writes: readonly Write[]): Promise<readonly Resource[]> {
    assertOpen();
    if (writes.length === 0) return [];
    const plan = planWrites(writes, {
      stored: (key) => {
        const resource = table.get(key);
        return resource === undefined ? undefined : toStored(resource);
      },
      lastVersion,
      now: new Date(clock.now()).toISOString(),
    });
    journal.commit(plan.outcomes.values(), plan.lastVersion);
    lastVersion = plan.lastVersion;
    const changes = Array.from(plan.outcomes.values(), ({ key, resource }) => table.set(key, resource));
    feed.publish(changes.filter((change) => change !== undefined));
    await journal.flush();
    return plan.results;
  }

  return {
    engine,
    async get(key) {
      assertOpen();
      return table.get(key);
    },
    async list(query) {
      assertOpen();
      return table.list(query);
    },
    async count(mesh) {
      assertOpen();
      return table.count(mesh);
    },
    ...singleWrites(transact),
    transact,
    watch: (watch) => feed.subscribe(watch),
    close() {
      closing ??= (async () => {
        feed.close();
        await journal.close();
      })();
      return closing;
    },
  };
}
