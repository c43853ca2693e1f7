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
  const meshes = new Map<string, RenewalRequest[]>();
  return {
    add(request, now) {
      const others = (meshes.get(request.mesh) ?? []).filter(
        (other) => !sameTarget(other, request) && now - other.at < REQUEST_LIFE_MS,
      );
      meshes.set(request.mesh, [...others, request]);
    },
    turn(proxy, leaf) {
      const turns = (meshes.get(proxy.mesh) ?? []).flatMap((request) =>
        concerns(request, proxy.name, leaf) ? [turnOf(request, proxy, leaf)] : [],
      );
      return turns.length === 0 ? undefined : Math.min(...turns);
    },
  };
}

/** Whether the request is about this proxy, by its leaf, and the leaf is of before it. */
function concerns(request: RenewalRequest, proxy: string, leaf: HeldLeaf): boolean {
  if (leaf.issuedAt >= request.at) return false;
  if (request.backend !== undefined && request.backend !== leaf.backend) return false;
  if (request.proxy !== undefined) return request.proxy === proxy;
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
