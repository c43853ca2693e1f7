/**
 * What this program asks of an API server. `connect.ts` makes one from a kubeconfig or from inside a Pod; tests make one from their cluster.
 * Calls are by `ResourceType`, so a new kind needs no code here.
 */
import type { KubeObject, ResourceType } from './object.ts';

/** Stable codes of `KubeError`; callers switch on them. */
export type KubeErrorCode =
  | 'not-found'
  | 'already-exists'
  /** Another version is stored than the one written against. */
  | 'conflict'
  /** HTTP 410: the resource version is too old; list again. */
  | 'gone'
  | 'forbidden'
  | 'unauthorized'
  /** HTTP 400 and 422: the object is refused; the message says why. */
  | 'invalid'
  | 'throttled'
  /** No answer, a broken connection, or HTTP 5xx. */
  | 'unavailable'
  /** The caller's signal or the deadline ended it. */
  | 'aborted';

export class KubeError extends Error {
  readonly code: KubeErrorCode;
  /** HTTP status, when there was an answer. */
  readonly status: number | undefined;
  /** `Status.details.causes` of the answer. */
  readonly causes: readonly { readonly field?: string; readonly message?: string }[];
  /** From `Retry-After`, in ms. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: KubeErrorCode,
    message: string,
    options: {
      status?: number;
      causes?: KubeError['causes'];
      retryAfterMs?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KubeError';
    this.code = code;
    this.status = options.status;
    this.causes = options.causes ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

export interface ObjectName {
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string;
  readonly name: string;
}

export interface ListOptions {
  /** Absent for a namespaced kind: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly signal?: AbortSignal;
}

export interface WatchOptions extends Omit<ListOptions, 'limit' | 'continue'> {
  readonly resourceVersion: string;
  readonly signal: AbortSignal;
}

export type WatchEvent<T extends KubeObject = KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface ObjectList<T extends KubeObject = KubeObject> {
  readonly resourceVersion: string;
  readonly items: readonly T[];
  readonly continue?: string;
}

export type PatchType = 'merge' | 'json' | 'apply';

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Server-side dry run: everything is checked, nothing is stored. */
  readonly dryRun?: boolean;
}

/** Every call throws `KubeError`. */
export interface KubeClient {
  /** `https://host:port` of the API server, for messages. */
  readonly server: string;
  /** Namespace of the kubeconfig's context or of the Pod this runs in; `default` when neither says. */
  readonly namespace: string;
  get<T extends KubeObject>(type: ResourceType, at: ObjectName, options?: CallOptions): Promise<T>;
  list<T extends KubeObject>(type: ResourceType, options?: ListOptions): Promise<ObjectList<T>>;
  /** `apiVersion` and `kind` may be absent here and in `replace`: they are those of `type`. */
  create<T extends KubeObject>(type: ResourceType, object: T, options?: CallOptions): Promise<T>;
  /** Full replacement; with `metadata.resourceVersion` only of that version. `subresource` such as `status`. */
  replace<T extends KubeObject>(
    type: ResourceType,
    object: T,
    options?: CallOptions & { readonly subresource?: string },
  ): Promise<T>;
  patch<T extends KubeObject>(
    type: ResourceType,
    at: ObjectName,
    patch: unknown,
    options: CallOptions & { readonly as: PatchType; readonly subresource?: string; readonly fieldManager?: string },
  ): Promise<T>;
  delete(
    type: ResourceType,
    at: ObjectName,
    options?: CallOptions & { readonly resourceVersion?: string; readonly uid?: string },
  ): Promise<void>;
  deleteCollection(type: ResourceType, options: ListOptions): Promise<void>;
  /** Events from `resourceVersion` on, bookmarks included; the first is a bookmark of that version: the server has accepted the watch. Ends when the server ends it or `signal` aborts; throws `gone` on 410. */
  watch<T extends KubeObject>(type: ResourceType, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** Any other call, such as `GET /version`; JSON in and out. */
  raw<T = unknown>(call: {
    readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
    readonly path: string;
    readonly body?: unknown;
    readonly signal?: AbortSignal;
  }): Promise<T>;
  /** Calls made so far by verb and plural, `create certificaterequests`; for metrics and tests. */
  readonly calls: ReadonlyMap<string, number>;
  close(): Promise<void>;
}
