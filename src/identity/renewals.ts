import { fnv64a } from '../lib/hash.ts';
import type { HeldLeaf, ProxyKey, RenewalRequest } from './identity.ts';

/** Leaves that are replaced together are issued anew within this share of their life, and this time, so that a whole mesh does not ask at once. */
const SPREAD_SHARE = 0.25;
const SPREAD_MS = 900_000;
/** A request is remembered so long, for proxies that are away at the moment. Milliseconds. */
export const REQUEST_LIFE_MS = 7 * 86_400_000;

/** How long it takes to replace leaves of this life together, in ms. */
export function renewalWindowMs(lifeMs: number): number {
  return Math.min(SPREAD_MS, SPREAD_SHARE * lifeMs);
}

/** What people asked to have renewed. Every control plane of a store knows the same requests, so a proxy that changes over keeps its turn. */
export interface Renewals {
  /** Replaces an earlier request for the same. */
  add(request: RenewalRequest, now: number): void;
  /** When the leaf of this proxy is to be replaced because somebody asked, epoch ms; `undefined`: nobody did since it was issued. */
  turn(proxy: ProxyKey, leaf: HeldLeaf): number | undefined;
}

export function createRenewals(): Renewals {
  /** By mesh, then by proxy; '' has those about many. */
  const meshes = new Map<string, Map<string, readonly RenewalRequest[]>>();
  return {
    add(request, now) {
      const targets = meshes.get(request.mesh) ?? new Map<string, readonly RenewalRequest[]>();
      meshes.set(request.mesh, targets);
      for (const [target, requests] of targets) {
        const kept = requests.filter((other) => now - other.at < REQUEST_LIFE_MS && !sameTarget(other, request));
        if (kept.length === 0) targets.delete(target);
        else if (kept.length < requests.length) targets.set(target, kept);
      }
      const target = request.proxy ?? '';
      targets.set(target, [...(targets.get(target) ?? []), request]);
    },
    turn(proxy, leaf) {
      const targets = meshes.get(proxy.mesh);
      if (targets === undefined) return undefined;
      const turns = [...(targets.get(proxy.name) ?? []), ...(targets.get('') ?? [])].flatMap((request) =>
        concerns(request, leaf) ? [turnOf(request, proxy, leaf)] : [],
      );
      return turns.length === 0 ? undefined : Math.min(...turns);
    },
  };
}

/** Whether the request is about a proxy with this leaf, and the leaf is of before it. */
function concerns(request: RenewalRequest, leaf: HeldLeaf): boolean {
  if (leaf.issuedAt >= request.at) return false;
  if (request.backend !== undefined && request.backend !== leaf.backend) return false;
  return request.service === undefined || leaf.uriSans.includes(`spiffe://${request.mesh}/${request.service}`);
}

/** One proxy at once; many at a point of the window that depends on nothing but request and proxy. */
function turnOf(request: RenewalRequest, { name }: ProxyKey, leaf: HeldLeaf): number {
  if (request.proxy !== undefined) return request.at;
  const share = Number(fnv64a(`${request.at}/${name}`) % 1000n) / 1000;
  return Math.round(request.at + share * renewalWindowMs(leaf.notAfter - leaf.issuedAt));
}

const sameTarget = (a: RenewalRequest, b: RenewalRequest) =>
  a.proxy === b.proxy && a.service === b.service && a.backend === b.backend;
