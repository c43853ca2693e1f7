import { fnv64a } from '../lib/hash.ts';

/**
 * How old a connection between proxies may get, as shares of the life of a leaf (decision 0026): what was checked in its handshake is checked again.
 * A leaf in use has at least 20 % of its life left, so no connection outlives the leaf it began with by much. The client ends it first, between two
 * requests; the server's own end is for clients that do not.
 */
const CLIENT_FROM = 0.15;
const CLIENT_TO = 0.2;
const SERVER = 0.25;
/** Envoy counts in whole seconds here. */
const LEAST_S = 1;

/** Whole seconds. Differs by destination, always the same for one: clusters are shared by proxies. Pure. */
export function clientConnectionAgeS(leafLifetimeMs: number, destination: string): number {
  const spread = Number(fnv64a(destination) % 1000n) / 1000;
  return ageS(leafLifetimeMs, CLIENT_FROM + (CLIENT_TO - CLIENT_FROM) * spread);
}

/** Whole seconds. Pure. */
export function serverConnectionAgeS(leafLifetimeMs: number): number {
  return ageS(leafLifetimeMs, SERVER);
}

function ageS(leafLifetimeMs: number, share: number): number {
  return Math.max(LEAST_S, Math.round((leafLifetimeMs * share) / 1000));
}
