/**
 * Which resources of one type a stream asks for. Source: Envoy xDS protocol, "How the client specifies what resources to return"
 * and "Unsubscribing From Resources".
 */
import { TYPE, XdsError } from './xds.ts';

/** Names one stream may ask for, by type. */
const MAX_NAMES = 50_000;

const WILDCARD = '*';

/** Edited in place by the functions below; owned by one stream. */
export interface Subscription {
  wildcard: boolean;
  /** Explicit names, without `*`. */
  readonly names: Set<string>;
  /** A request for this type was seen on this stream. */
  started: boolean;
  /** Wildcard only because the first request named nothing (Listener, Cluster); ends with the first named request in state-of-the-world. */
  legacy: boolean;
}

export function createSubscription(): Subscription {
  return { wildcard: false, names: new Set(), started: false, legacy: false };
}

/** Says whether the stream wants this resource. */
export function wants(subscription: Subscription, name: string): boolean {
  return subscription.wildcard || subscription.names.has(name);
}

/** Only for these types a first request without names means "everything". */
export function hasLegacyWildcard(typeUrl: string): boolean {
  return typeUrl === TYPE.cluster || typeUrl === TYPE.listener;
}

/** What a delta request changed. */
export interface DeltaChange {
  /** Subscribed by name in this request, new or again: the client must get each, even one that it held before. */
  readonly subscribed: readonly string[];
  /** Not wanted by name any more. */
  readonly unsubscribed: readonly string[];
  /** The wildcard began or ended with this request. */
  readonly wildcardChanged: boolean;
}

/**
 * Applies the names of a delta request. Throws `XdsError` `resource-exhausted` over `MAX_NAMES`.
 * A first request that names nothing is a wildcard for Listener and Cluster ("legacy"), and nothing for other types.
 */
export function applyDelta(
  subscription: Subscription,
  typeUrl: string,
  request: { readonly subscribe: readonly string[]; readonly unsubscribe: readonly string[] },
): DeltaChange {
  const before = subscription.wildcard;
  if (!subscription.started && request.subscribe.length === 0 && hasLegacyWildcard(typeUrl)) {
    subscription.wildcard = true;
    subscription.legacy = true;
  }
  subscription.started = true;
  const subscribed: string[] = [];
  for (const name of request.subscribe) {
    if (name === WILDCARD) {
      subscription.wildcard = true;
      subscription.legacy = false;
    } else {
      subscription.names.add(name);
      subscribed.push(name);
    }
  }
  const unsubscribed: string[] = [];
  for (const name of request.unsubscribe) {
    if (name === WILDCARD) subscription.wildcard = false;
    else {
      subscription.names.delete(name);
      unsubscribed.push(name);
    }
  }
  checkSize(subscription, typeUrl);
  return { subscribed, unsubscribed, wildcardChanged: before !== subscription.wildcard };
}

/** Replaces the names by those of a state-of-the-world request; true when anything changed. Throws like `applyDelta`. */
export function applySotw(subscription: Subscription, typeUrl: string, names: readonly string[]): boolean {
  const first = !subscription.started;
  subscription.started = true;
  const wildcard =
    names.includes(WILDCARD) || (names.length === 0 && hasLegacyWildcard(typeUrl) && (first || subscription.legacy));
  const legacy = wildcard && names.length === 0;
  const next = new Set(names);
  next.delete(WILDCARD);
  const changed = first || wildcard !== subscription.wildcard || !sameSet(next, subscription.names);
  subscription.wildcard = wildcard;
  subscription.legacy = legacy;
  if (changed) {
    subscription.names.clear();
    for (const name of next) subscription.names.add(name);
  }
  checkSize(subscription, typeUrl);
  return changed;
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const name of a) if (!b.has(name)) return false;
  return true;
}

function checkSize(subscription: Subscription, typeUrl: string): void {
  if (subscription.names.size > MAX_NAMES) {
    throw new XdsError('resource-exhausted', `subscribe to ${typeUrl}: more than ${MAX_NAMES} names on one stream`);
  }
}
