import type { KubeObject } from './object.ts';

export type ListWatchEvent<T extends KubeObject> =
  | { readonly op: 'upsert'; readonly object: T; readonly old: T | undefined }
  | { readonly op: 'delete'; readonly object: T };

/**
 * One shared, live copy of a collection: listed once, then watched with bookmarks; after 410 or a lost connection resumed or listed again, with
 * jitter, and the differences reported as events. Never stops by itself.
 */
export interface ListWatch<T extends KubeObject> {
  /** Resolves after the first list. */
  readonly synced: Promise<void>;
  /** By namespace ('' for cluster-scoped) and name. */
  get(namespace: string, name: string): T | undefined;
  /** Everything, in no order that means something. */
  items(): IterableIterator<T>;
  /** Synchronous, in order. A subscriber gets no events for what is there already: it reads `items()` first. Returns the unsubscriber. */
  subscribe(listener: (event: ListWatchEvent<T>) => void): () => void;
  /** Called after every event batch and (re)list; `false` while the connection is lost. */
  readonly connected: boolean;
  close(): Promise<void>;
}
