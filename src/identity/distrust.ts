import type { HeldLeaf } from './identity.ts';

/** A certificate that is to be refused wherever that is possible. */
export interface DistrustedLeaf {
  /** Lower-case hex. */
  readonly serial: string;
  readonly backend: string;
  /** Epoch ms since when. */
  readonly at: number;
}

/** What a mesh trusts no more although its CAs would (decision 0026). The same in every control plane of a store. */
export interface MeshDistrust {
  /** 0: nothing ever was. Grows with each thing that is distrusted, so connections that began before it can be told from others. */
  readonly epoch: number;
  readonly leaves: readonly DistrustedLeaf[];
  /** Leaves of this service that were issued before that time, epoch ms. */
  readonly services: readonly { readonly service: string; readonly before: number }[];
  /** Backends that no leaf is accepted from. */
  readonly backends: readonly string[];
  /** Services whose clients are refused whatever they present. */
  readonly denied: readonly string[];
}

export const NO_DISTRUST: MeshDistrust = { epoch: 0, leaves: [], services: [], backends: [], denied: [] };

/** True when the proxy needs another leaf than this one. Pure. */
export function isDistrusted(distrust: MeshDistrust, mesh: string, leaf: HeldLeaf): boolean {
  return (
    distrust.backends.includes(leaf.backend) ||
    distrust.leaves.some(({ serial, backend }) => serial === leaf.serial && backend === leaf.backend) ||
    distrust.services.some(
      ({ service, before }) => leaf.issuedAt < before && leaf.uriSans.includes(`spiffe://${mesh}/${service}`),
    )
  );
}
