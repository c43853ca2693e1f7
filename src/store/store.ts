import type { Resource, ResourceKey } from '../resources/resource.ts';

/** Stable codes of `StoreError`; callers switch on them. */
export type StoreErrorCode =
  | 'not-found'
  | 'already-exists'
  | 'conflict'
  | 'invalid-offset'
  /** The engine cannot hold this, whoever asks again: Kubernetes has rules for names and labels of its own. */
  | 'refused'
  | 'unavailable';

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly key: ResourceKey | undefined;
  constructor(code: StoreErrorCode, message: string, options?: { key?: ResourceKey; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StoreError';
    this.code = code;
    this.key = options?.key;
  }
}

export interface ListQuery {
  readonly type: string;
  /** Only this mesh; absent: all meshes (and global kinds). */
  readonly mesh?: string;
  /** Substring of the name. */
  readonly nameContains?: string;
  /** Exact label values, all must match. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Further test on each resource, applied before paging and counting. */
  readonly where?: (resource: Resource) => boolean;
  /** Page size; absent: everything. */
  readonly size?: number;
  /** Opaque, from a former page's `next`. A malformed one throws `invalid-offset`. */
  readonly offset?: string;
}

export interface Page {
  /** Sorted by mesh, then name. */
  readonly items: readonly Resource[];
  /** Number of matches over all pages. */
  readonly total: number;
  /** Offset of the next page; absent on the last one. */
  readonly next?: string;
}

/**
 * One write of a transaction. `version` is the expected one: a mismatch is `conflict`; absent means "whatever it is now".
 * `put` creates or replaces and never conflicts.
 */
export type Write =
  | { readonly op: 'create'; readonly resource: Resource }
  | { readonly op: 'update'; readonly resource: Resource; readonly version?: string }
  | { readonly op: 'put'; readonly resource: Resource }
  | { readonly op: 'delete'; readonly key: ResourceKey; readonly version?: string };

/**
 * What a watcher sees. The first events describe what exists (`upsert`s, then one `synced`); after that every later change, in order.
 * Nothing falls between list and events. After a lost connection the engine re-lists and sends `upsert`s and `delete`s for the difference, then `synced` again.
 */
export type Change =
  | { readonly op: 'upsert'; readonly resource: Resource }
  | { readonly op: 'delete'; readonly key: ResourceKey; readonly resource?: Resource }
  | { readonly op: 'synced' };

/** Where resources live. Engines: memory, SQLite, PostgreSQL, Kubernetes; every engine passes `testing/store-contract.ts`. */
export interface ResourceStore {
  /** Engine name as in configuration: `memory`, `sqlite`, `postgres`, `kubernetes`. */
  readonly engine: string;
  get(key: ResourceKey): Promise<Resource | undefined>;
  list(query: ListQuery): Promise<Page>;
  /** Number of resources per type (and mesh, when given), in one cheap call. */
  count(mesh?: string): Promise<ReadonlyMap<string, number>>;
  create(resource: Resource): Promise<Resource>;
  /** Replaces spec, labels and status. Throws `not-found` or `conflict`. */
  update(resource: Resource, expectedVersion?: string): Promise<Resource>;
  /** Throws `not-found` or `conflict`. */
  delete(key: ResourceKey, expectedVersion?: string): Promise<void>;
  /**
   * All or nothing, in order; returns what was written (deletes give nothing). Thousands of writes are one transaction.
   * Kubernetes has no transactions: there a failed one is undone write by write (docs/decisions/0013-kubernetes-store.md).
   */
  transact(writes: readonly Write[]): Promise<readonly Resource[]>;
  /**
   * Batches of changes of these types (absent: all), in commit order. A batch is what was committed together or close together.
   * Ends when `signal` aborts. A slow reader gets later states of one key merged, never an unbounded queue.
   */
  watch(options: { types?: readonly string[]; signal: AbortSignal }): AsyncIterable<readonly Change[]>;
  close(): Promise<void>;
}

/** Whether other control planes may use the same store. */
export function isShared(store: Pick<ResourceStore, 'engine'>): boolean {
  return store.engine !== 'memory' && store.engine !== 'sqlite';
}

/** Runs tasks of which only one control plane of a store may run at a time. */
export interface LeaderElection {
  /** Calls `lead(signal)` while this process leads; the signal aborts when leadership is lost. Ends when `signal` aborts. */
  run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>;
  isLeader(): boolean;
}
