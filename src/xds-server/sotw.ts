/**
 * State-of-the-world variant: one type of one stream.
 * Source: Envoy xDS protocol, "ACK/NACK and versioning", "Grouping Resources into Responses", "Deleting Resources".
 *
 * Clusters and listeners: a response is the whole state and what it lacks is deleted, so a response repeats everything and names that
 * are refused, or whose removal must wait, go out as the client last accepted them. Other types: only what is new or changed; what is
 * gone is not mentioned (the client drops it with the cluster or listener that names it).
 */
import { contentHash } from '../lib/hash.ts';
import { appliedTheRest, refusedNames } from './refusal.ts';
import type { SotwRequest } from './request.ts';
import { encodeSotwResponse } from './response.ts';
import { applySotw, createSubscription, hasLegacyWildcard, wants } from './subscription.ts';
import { type Answer, createLazySet, createRefused, type Gate, type Outgoing, type TypeSync } from './sync.ts';
import type { EncodedResource, TypedResources, TypeUrl } from './xds.ts';

interface Pending {
  readonly nonce: string;
  /** New or changed ones. */
  readonly fresh: readonly EncodedResource[];
  /** Whole state after this response; `undefined` for types that send parts. */
  readonly state: TypedResources | undefined;
}

/** A fresh sync for a stream that has not asked for this type yet. */
export function createSotwSync(typeUrl: TypeUrl): TypeSync<SotwRequest> {
  const whole = hasLegacyWildcard(typeUrl);
  const subscription = createSubscription();
  const held = new Map<string, string>();
  const refused = createRefused();
  const forced = createLazySet();
  /** Whole types: what the client holds, to be repeated. */
  let state: TypedResources = NOTHING;
  let pending: Pending | undefined;
  let lastNonce = '';
  let owed = false;
  let clean: TypedResources | undefined;
  let refusedNow = 0;

  function request(incoming: SotwRequest): Answer {
    const first = !subscription.started;
    // An answer to an older response than the last: whatever it says will come again with the answer to the last one.
    if (!first && incoming.nonce !== '' && incoming.nonce !== (pending?.nonce ?? lastNonce)) return { kind: 'none' };
    if (applySotw(subscription, typeUrl, incoming.names)) {
      clean = undefined;
      for (const name of held.keys()) if (!wants(subscription, name)) forget(name);
      refused.retain((name) => wants(subscription, name));
      state = new Map([...state].filter(([name]) => held.has(name)));
      if (first && whole) owed = true;
    }
    return pending && incoming.nonce === pending.nonce ? answer(pending, incoming) : { kind: 'none' };
  }

  function forget(name: string): void {
    held.delete(name);
    forced.delete(name);
  }

  function answer(response: Pending, incoming: SotwRequest): Answer {
    pending = undefined;
    clean = undefined;
    const { nonce } = response;
    if (!incoming.error) {
      accept(response, () => true);
      return { kind: 'ack', nonce };
    }
    const all = response.fresh.map((resource) => resource.name);
    const mentioned = refusedNames(incoming.error.message, all);
    const names = new Set(mentioned.length > 0 ? mentioned : all);
    for (const resource of response.fresh)
      if (names.has(resource.name) && wants(subscription, resource.name)) refused.add(resource.name, resource.version);
    // Not told which one is at fault: all are, and what is gone counts as gone, or a client that refuses everything would get it for ever.
    if (whole && (mentioned.length === 0 || appliedTheRest(incoming.error.message)))
      accept(response, (name) => !names.has(name));
    return { kind: 'nack', nonce, names: [...names], message: incoming.error.message };
  }

  function accept(response: Pending, good: (name: string) => boolean): void {
    if (!response.state) {
      for (const resource of response.fresh)
        if (wants(subscription, resource.name)) held.set(resource.name, resource.version);
      return;
    }
    const now = new Map<string, EncodedResource>();
    for (const [name, resource] of response.state) {
      const kept = good(name) ? resource : state.get(name);
      if (kept && wants(subscription, name)) now.set(name, kept);
    }
    hold(now);
  }

  function hold(now: TypedResources): void {
    state = now;
    held.clear();
    for (const [name, resource] of now) held.set(name, resource.version);
  }

  function next(target: TypedResources, gate: Gate, nonce: () => string): Outgoing | undefined {
    if (pending || clean === target || !subscription.started || !gate.additions) return undefined;
    return whole ? nextWhole(target, gate, nonce) : nextPart(target, nonce);
  }

  function nextWhole(target: TypedResources, gate: Gate, nonce: () => string): Outgoing | undefined {
    refusedNow = 0;
    const resources = new Map<string, EncodedResource>();
    const fresh: EncodedResource[] = [];
    const consider = (resource: EncodedResource): void => {
      const now = state.get(resource.name);
      if (now?.version === resource.version) resources.set(resource.name, now);
      else if (refused.has(resource)) {
        refusedNow++;
        if (now) resources.set(resource.name, now);
      } else {
        resources.set(resource.name, resource);
        fresh.push(resource);
      }
    };
    if (subscription.wildcard) for (const resource of target.values()) consider(resource);
    else {
      for (const name of subscription.names) {
        const resource = target.get(name);
        if (resource) consider(resource);
      }
    }
    let gone = 0;
    let kept = 0;
    for (const [name, resource] of state) {
      if (resources.has(name) || !wants(subscription, name)) continue;
      if (gate.removals) gone++;
      else {
        kept++;
        resources.set(name, resource);
      }
    }
    if (fresh.length === 0 && gone === 0 && !owed) {
      if (kept === 0) clean = target;
      return undefined;
    }
    owed = false;
    const added = fresh.filter((resource) => !state.has(resource.name)).map((resource) => resource.name);
    const changed = fresh.filter((resource) => state.has(resource.name)).map((resource) => resource.name);
    pending = { nonce: nonce(), fresh, state: resources };
    return send([...resources.values()], added, changed);
  }

  function nextPart(target: TypedResources, nonce: () => string): Outgoing | undefined {
    refusedNow = 0;
    const fresh: EncodedResource[] = [];
    const added: string[] = [];
    const changed: string[] = [];
    const consider = (resource: EncodedResource): void => {
      const version = held.get(resource.name);
      if (version === resource.version && !forced.has(resource.name)) return;
      if (refused.has(resource)) {
        refusedNow++;
        return;
      }
      fresh.push(resource);
      if (version === undefined) added.push(resource.name);
      else if (version !== resource.version) changed.push(resource.name);
    };
    if (subscription.wildcard) for (const resource of target.values()) consider(resource);
    else {
      for (const name of subscription.names) {
        const resource = target.get(name);
        if (resource) consider(resource);
      }
    }
    forced.clear();
    if (fresh.length === 0) {
      clean = target;
      return undefined;
    }
    pending = { nonce: nonce(), fresh, state: undefined };
    return send(fresh, added, changed);
  }

  function send(resources: readonly EncodedResource[], added: readonly string[], changed: readonly string[]): Outgoing {
    lastNonce = pending!.nonce;
    const version = stateVersion(resources);
    const bytes = encodeSotwResponse({ typeUrl, nonce: lastNonce, version, resources });
    return { typeUrl, nonce: lastNonce, bytes, added, changed };
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

const NOTHING: TypedResources = new Map();

/** One version for a set of resources, whatever their order. */
function stateVersion(resources: Iterable<EncodedResource>): string {
  const lines: string[] = [];
  for (const { name, version } of resources) lines.push(`${name}\n${version}\n`);
  return contentHash(lines.sort().join(''));
}
