/**
 * What one stream knows of one resource type: the shape shared by both protocol variants (`delta.ts`, `sotw.ts`).
 * No I/O, no clock: requests and targets go in, responses come out. A sync is edited in place by its stream, which alone owns it.
 *
 * At most one response of a type is under way. Until it is answered nothing of that type is sent; the next response is computed
 * from the newest target then, so a slow client is never queued for.
 */
import type { EncodedResource, TypedResources, TypeUrl } from './xds.ts';

/** What may go out now. Additions: new and changed resources. Removals: of what the target does not have any more. */
export interface Gate {
  readonly additions: boolean;
  readonly removals: boolean;
}

export const OPEN: Gate = { additions: true, removals: true };

/** What a request meant, beside changing the subscription. */
export type Answer =
  /** No word on a response: a subscription, or an answer to a response that does not matter any more. */
  | { readonly kind: 'none' }
  /** First request of a client that came back and holds resources from an earlier stream. */
  | { readonly kind: 'resumed' }
  | { readonly kind: 'ack'; readonly nonce: string }
  /** `names`: what is refused now, not to be sent again in this version. */
  | { readonly kind: 'nack'; readonly nonce: string; readonly names: readonly string[]; readonly message: string };

/** A response ready to be written. */
export interface Outgoing {
  readonly typeUrl: TypeUrl;
  readonly nonce: string;
  readonly bytes: Buffer;
  /** Names that are new to the client. */
  readonly added: readonly string[];
  /** Names of which the client held another version. */
  readonly changed: readonly string[];
}

export interface TypeSync<Request> {
  readonly typeUrl: TypeUrl;
  /** Name to version of all that the client has said yes to and still wants. Live: copy to keep. */
  readonly held: ReadonlyMap<string, string>;
  /** A response waits for its answer. */
  readonly pending: boolean;
  /** Applies a request. Throws `XdsError` `resource-exhausted` when the subscription grows too large. */
  request(request: Request): Answer;
  wants(name: string): boolean;
  /** Sends this resource again although the client holds it, if it does. */
  resend(name: string): void;
  /** The next response towards `target`, or `undefined` when there is nothing to say or an answer is awaited. */
  next(target: TypedResources, gate: Gate, nonce: () => string): Outgoing | undefined;
  /** True when the client holds all of `target` that it wants: nothing left to send, no answer awaited, nothing refused. */
  settled(target: TypedResources): boolean;
}

/** What was refused, by name and version; forgotten when another version comes. */
export interface Refused {
  add(name: string, version: string): void;
  has(resource: EncodedResource): boolean;
  /** Forgets the names that the client does not want any more. */
  retain(wanted: (name: string) => boolean): void;
}

export function createRefused(): Refused {
  let versions: Map<string, string> | undefined;
  return {
    add(name, version) {
      versions ??= new Map();
      versions.set(name, version);
    },
    has(resource) {
      const version = versions?.get(resource.name);
      if (version === undefined) return false;
      if (version === resource.version) return true;
      versions!.delete(resource.name);
      return false;
    },
    retain(wanted) {
      for (const name of versions?.keys() ?? []) if (!wanted(name)) versions!.delete(name);
    },
  };
}

/** A set made at its first use: most streams never need it. */
export interface LazySet {
  add(name: string): void;
  has(name: string): boolean;
  delete(name: string): void;
  clear(): void;
}

export function createLazySet(): LazySet {
  let names: Set<string> | undefined;
  return {
    add(name) {
      names ??= new Set();
      names.add(name);
    },
    has: (name) => names?.has(name) ?? false,
    delete: (name) => void names?.delete(name),
    clear() {
      names = undefined;
    },
  };
}
