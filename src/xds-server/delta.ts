/**
 * Incremental variant: one type of one stream.
 * Source: Envoy xDS protocol, "Incremental xDS"; discovery.proto on `initial_resource_versions` and `resource_names_subscribe`.
 */
import { appliedTheRest, refusedNames } from './refusal.ts';
import type { DeltaRequest } from './request.ts';
import { encodeDeltaResponse } from './response.ts';
import { applyDelta, createSubscription, wants } from './subscription.ts';
import { type Answer, createLazySet, createRefused, type Gate, type Outgoing, type TypeSync } from './sync.ts';
import { type EncodedResource, TYPE, type TypedResources, type TypeUrl } from './xds.ts';

interface Pending {
  readonly nonce: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** A fresh sync for a stream that has not asked for this type yet. */
export function createDeltaSync(typeUrl: TypeUrl): TypeSync<DeltaRequest> {
  const subscription = createSubscription();
  const held = new Map<string, string>();
  const refused = createRefused();
  /** Subscribed again or in need of a repeat: sent even when held. */
  const forced = createLazySet();
  /** Named, not there, and the client knows. */
  const absent = createLazySet();
  /** A secret that is missing is being issued: the client keeps waiting for it instead of hearing that it does not exist. */
  const answersAbsent = typeUrl !== TYPE.secret;
  let pending: Pending | undefined;
  /** The client waits for a first answer even if it is empty. */
  let owed = false;
  /** The target of which nothing is left to send. */
  let clean: TypedResources | undefined;
  /** Resources kept back by a refusal when `clean` was set. */
  let refusedNow = 0;

  function request(incoming: DeltaRequest): Answer {
    const first = !subscription.started;
    const change = applyDelta(subscription, typeUrl, incoming);
    const resumed = first && incoming.initialVersions.size > 0;
    if (resumed)
      for (const [name, version] of incoming.initialVersions) if (wants(subscription, name)) held.set(name, version);
    const underWay =
      pending && change.subscribed.length > 0 ? new Set(pending.resources.map((resource) => resource.name)) : undefined;
    for (const name of change.subscribed) {
      absent.delete(name);
      if (!resumed && (held.has(name) || underWay?.has(name))) forced.add(name);
    }
    for (const name of change.unsubscribed) {
      absent.delete(name);
      // Still wanted by wildcard: the client may have dropped it and must hear of it again.
      if (wants(subscription, name)) forced.add(name);
      else forget(name);
    }
    if (change.wildcardChanged) {
      if (subscription.wildcard) owed = !resumed;
      else for (const name of held.keys()) if (!wants(subscription, name)) forget(name);
    }
    if (change.unsubscribed.length > 0 || change.wildcardChanged) refused.retain((name) => wants(subscription, name));
    if (first || change.subscribed.length > 0 || change.unsubscribed.length > 0 || change.wildcardChanged)
      clean = undefined;
    if (pending && incoming.nonce === pending.nonce) return answer(pending, incoming);
    return resumed ? { kind: 'resumed' } : { kind: 'none' };
  }

  function forget(name: string): void {
    held.delete(name);
    forced.delete(name);
  }

  function answer(response: Pending, incoming: DeltaRequest): Answer {
    pending = undefined;
    clean = undefined;
    if (!incoming.error) {
      acceptRemoved(response);
      for (const resource of response.resources) accept(resource);
      return { kind: 'ack', nonce: response.nonce };
    }
    const { message } = incoming.error;
    const all = response.resources.map((resource) => resource.name);
    const mentioned = refusedNames(message, all);
    const names = new Set(mentioned.length > 0 ? mentioned : all);
    const restApplied = appliedTheRest(message);
    // Not told which one is at fault: all are, and nothing is sent a second time, or a client that refuses everything would get it for ever.
    if (restApplied || mentioned.length === 0) acceptRemoved(response);
    for (const resource of response.resources) {
      if (names.has(resource.name)) refuse(resource);
      else if (restApplied) accept(resource);
    }
    return { kind: 'nack', nonce: response.nonce, names: [...names], message };
  }

  function acceptRemoved(response: Pending): void {
    for (const name of response.removed) {
      held.delete(name);
      if (subscription.names.has(name)) absent.add(name);
    }
  }

  function refuse(resource: EncodedResource): void {
    if (wants(subscription, resource.name)) refused.add(resource.name, resource.version);
  }

  function accept(resource: EncodedResource): void {
    if (wants(subscription, resource.name)) held.set(resource.name, resource.version);
  }

  function next(target: TypedResources, gate: Gate, nonce: () => string): Outgoing | undefined {
    if (pending || clean === target || !subscription.started) return undefined;
    const resources: EncodedResource[] = [];
    const added: string[] = [];
    const changed: string[] = [];
    const removed: string[] = [];
    let withheld = false;
    refusedNow = 0;
    const consider = (resource: EncodedResource): void => {
      const version = held.get(resource.name);
      if (version === resource.version && !forced.has(resource.name)) return;
      if (refused.has(resource)) refusedNow++;
      else if (!gate.additions) withheld = true;
      else {
        resources.push(resource);
        if (version === undefined) added.push(resource.name);
        else if (version !== resource.version) changed.push(resource.name);
      }
    };
    if (subscription.wildcard) for (const resource of target.values()) consider(resource);
    for (const name of subscription.names) {
      const resource = target.get(name);
      if (resource) {
        if (!subscription.wildcard) consider(resource);
      } else if (answersAbsent && !held.has(name) && !absent.has(name)) removed.push(name);
    }
    for (const name of held.keys()) {
      if (target.has(name)) continue;
      if (gate.removals) removed.push(name);
      else withheld = true;
    }
    if (owed && !gate.additions) withheld = true;
    if (resources.length === 0 && removed.length === 0 && !(owed && gate.additions)) {
      if (!withheld) {
        clean = target;
        forced.clear();
      }
      return undefined;
    }
    if (gate.additions) owed = false;
    for (const resource of resources) forced.delete(resource.name);
    for (const name of removed) forced.delete(name);
    pending = { nonce: nonce(), resources, removed };
    const bytes = encodeDeltaResponse({ typeUrl, nonce: pending.nonce, resources, removed });
    return { typeUrl, nonce: pending.nonce, bytes, added, changed };
  }

  return {
    typeUrl,
    held,
    get pending() {
      return pending !== undefined;
    },
    request,
    wants: (name) => wants(subscription, name),
    resend(name) {
      if (!held.has(name)) return;
      forced.add(name);
      clean = undefined;
    },
    next,
    settled: (target) => !subscription.started || (pending === undefined && clean === target && refusedNow === 0),
  };
}
