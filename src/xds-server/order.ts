/**
 * In which order the types of one push go out, so that nothing names what is not there: make before break.
 * Source: Envoy xDS protocol, "Eventual consistency considerations".
 */
import { type Gate, OPEN } from './sync.ts';
import { TYPE, type TypeUrl } from './xds.ts';

/** New things first, what names them later. */
export const PUSH_ORDER: readonly TypeUrl[] = [
  TYPE.cluster,
  TYPE.endpoint,
  TYPE.secret,
  TYPE.listener,
  TYPE.route,
  TYPE.runtime,
];

/** What the stream knows of its types while it decides. */
export interface PushState {
  /** The client holds everything of this type that it should, or never asked for the type. */
  settled(typeUrl: TypeUrl): boolean;
  /** A response of this type waits for its answer. */
  pending(typeUrl: TypeUrl): boolean;
  /** New clusters are there whose endpoints the client has not accepted yet. */
  readonly endpointsAwaited: boolean;
}

const ADDITIONS_ONLY: Gate = { additions: true, removals: false };
const REMOVALS_ONLY: Gate = { additions: false, removals: true };
const CLOSED: Gate = { additions: false, removals: false };

/**
 * What of this type may go out now.
 * Listeners and routes wait until the clusters they may name are accepted and have their endpoints.
 * Clusters go only when no listener or route, old or refused, can still name them; endpoints, routes and secrets go after what names them.
 */
export function gateOf(typeUrl: TypeUrl, state: PushState): Gate {
  const { settled } = state;
  switch (typeUrl) {
    case TYPE.cluster:
      return settled(TYPE.listener) && settled(TYPE.route) ? OPEN : ADDITIONS_ONLY;
    case TYPE.endpoint:
      return settled(TYPE.cluster) ? OPEN : ADDITIONS_ONLY;
    case TYPE.secret:
      return settled(TYPE.cluster) && settled(TYPE.listener) ? OPEN : ADDITIONS_ONLY;
    case TYPE.listener:
      return clustersReady(state) ? OPEN : REMOVALS_ONLY;
    case TYPE.route:
      return { additions: clustersReady(state), removals: settled(TYPE.listener) };
    case TYPE.runtime:
      return OPEN;
    default:
      typeUrl satisfies never;
      return CLOSED;
  }
}

function clustersReady(state: PushState): boolean {
  return !state.pending(TYPE.cluster) && !state.endpointsAwaited;
}
