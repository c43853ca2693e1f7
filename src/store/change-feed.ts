import { keyOf, keyText, type Resource } from '../resources/resource.ts';
import type { TableChange } from './resource-table.ts';
import type { Change } from './store.ts';

export interface WatchOptions {
  readonly types?: readonly string[];
  readonly signal: AbortSignal;
}

/** Gives one stream of changes to many readers, each at its own pace. Used by every engine. */
export interface ChangeFeed {
  /** Hands changes, in commit order, to every reader. What readers have not fetched yet is merged by key. */
  publish(changes: readonly TableChange[]): void;
  /** Tells every reader that it has the whole state (again). */
  publishSynced(): void;
  /** As `ResourceStore.watch`. The state is taken, and the reader listed, at the first `next()`. */
  subscribe(options: WatchOptions): AsyncIterable<readonly Change[]>;
  /** Ends every reader. */
  close(): void;
}

const SYNCED: Change = Object.freeze({ op: 'synced' });
/** Place of `synced` among the pending keys; no key text is empty. */
const SYNCED_KEY = '';

interface Pending {
  readonly change: Change;
  /** Has the reader seen this key? If not, a delete only takes the pending upsert away: memory is bounded by the keys that exist or were seen. */
  readonly known: boolean;
}

interface Reader {
  readonly types: ReadonlySet<string> | undefined;
  readonly pending: Map<string, Pending>;
  wake: (() => void) | undefined;
}

/** `state` lists what exists, and is called together with the reader's listing, in one go: nothing falls between. */
export function createChangeFeed(state: (types: Iterable<string> | undefined) => Iterable<Resource>): ChangeFeed {
  const readers = new Set<Reader>();
  let closed = false;

  async function* read(options: WatchOptions): AsyncGenerator<readonly Change[]> {
    const { signal } = options;
    if (closed || signal.aborted) return;
    const types = options.types === undefined ? undefined : new Set(options.types);
    const reader: Reader = { types, pending: new Map(), wake: undefined };
    const wake = () => reader.wake?.();
    signal.addEventListener('abort', wake);
    readers.add(reader);
    try {
      yield initialBatch(state(types));
      for (;;) {
        while (reader.pending.size === 0 && !closed && !signal.aborted) {
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
        }
        if (closed || signal.aborted) return;
        const batch = Array.from(reader.pending.values(), (pending) => pending.change);
        reader.pending.clear();
        yield batch;
      }
    } finally {
      readers.delete(reader);
      signal.removeEventListener('abort', wake);
    }
  }

  return {
    publish(changes) {
      for (const reader of readers) {
        for (const change of changes) offer(reader, change);
        if (reader.pending.size > 0) reader.wake?.();
      }
    },
    publishSynced() {
      for (const reader of readers) {
        reader.pending.delete(SYNCED_KEY);
        reader.pending.set(SYNCED_KEY, { change: SYNCED, known: false });
        reader.wake?.();
      }
    },
    subscribe: read,
    close() {
      closed = true;
      for (const reader of readers) reader.wake?.();
    },
  };
}

function initialBatch(resources: Iterable<Resource>): readonly Change[] {
  const batch = Array.from(resources, (resource): Change => ({ op: 'upsert', resource }));
  batch.push(SYNCED);
  return batch;
}

/** Merges one change into what the reader has not fetched yet. A key stands at the place of its latest change. */
function offer(reader: Reader, { change, existed }: TableChange): void {
  const key = change.op === 'delete' ? change.key : keyOf(change.resource);
  if (reader.types !== undefined && !reader.types.has(key.type)) return;
  const text = keyText(key);
  const known = reader.pending.get(text)?.known ?? existed;
  reader.pending.delete(text);
  if (change.op === 'delete' && !known) return;
  reader.pending.set(text, { change, known });
}
