import { renewalTime } from './decide.ts';
import type { HeldLeaf } from './identity.ts';

/**
 * When the leaves of each backend are renewed. Usually somewhere in 70-80 % of their life. But leaves that were issued together, after a start or an outage,
 * would come due together in every life from then on, since a tenth of a life of jitter pulls them apart only slowly: as many of them as the window does not
 * hold are renewed earlier, once. That costs each of those a part of its life, and never more than a mesh needs to be even. Decision 0022.
 */
export interface RenewalPlan {
  /** For a leaf issued now that is good until `end`; epoch ms. Never past 80 % of its life. */
  choose(backend: string, issuedAt: number, end: number): number;
  /** This leaf is held now, or no longer. `backend` is any key that is the backend's alone. */
  add(backend: string, leaf: PlannedLeaf): void;
  remove(backend: string, leaf: PlannedLeaf): void;
}

type PlannedLeaf = Pick<HeldLeaf, 'issuedAt' | 'renewAt' | 'notAfter' | 'askedMs'>;

/** A life is looked at in about so many slots. */
const SLOTS = 256;
/** The middle of the usual window: leaves of this life, renewed evenly, make the mean load of a slot. */
const USUAL_SHARE = 0.75;
const EARLIEST_SHARE = 0.2;
const LATEST_SHARE = 0.8;
/** A slot is full at so many times the mean; a load that is harmless to every issuer fills none. */
const FULL = 1.25;
const HARMLESS_PER_SECOND = 1;
/** Draws from the usual window, of which the one in the emptiest slot counts. */
const DRAWS = 3;

/** Leaves of about the same life. */
interface Loads {
  readonly slotMs: number;
  readonly slots: Map<number, number>;
  leaves: number;
}

/** `random` in [0, 1). */
export function createRenewalPlan(random: () => number): RenewalPlan {
  const loads = new Map<string, Loads>();

  function loadsOf(backend: string, lifeMs: number): Loads {
    const power = Math.max(0, Math.round(Math.log2(Math.max(1, lifeMs) / SLOTS)));
    const key = `${backend} ${power}`;
    let one = loads.get(key);
    if (one === undefined) {
      one = { slotMs: 2 ** power, slots: new Map(), leaves: 0 };
      loads.set(key, one);
    }
    return one;
  }

  function count(backend: string, { issuedAt, renewAt, notAfter, askedMs }: PlannedLeaf, change: 1 | -1): void {
    const one = loadsOf(backend, Math.min(notAfter - issuedAt, askedMs ?? Number.POSITIVE_INFINITY));
    const slot = Math.floor(renewAt / one.slotMs);
    const left = (one.slots.get(slot) ?? 0) + change;
    if (left > 0) one.slots.set(slot, left);
    else one.slots.delete(slot);
    one.leaves += change;
  }

  return {
    choose(backend, issuedAt, end) {
      const lifeMs = end - issuedAt;
      const { slotMs, slots, leaves } = loadsOf(backend, lifeMs);
      const loadAt = (slot: number) => slots.get(slot) ?? 0;
      const mean = (leaves * slotMs) / (USUAL_SHARE * lifeMs);
      const full = Math.max(1, FULL * mean, (HARMLESS_PER_SECOND * slotMs) / 1000);

      let best = renewalTime(issuedAt, end, random());
      for (let draw = 1; draw < DRAWS; draw += 1) {
        const other = renewalTime(issuedAt, end, random());
        if (loadAt(Math.floor(other / slotMs)) < loadAt(Math.floor(best / slotMs))) best = other;
      }
      if (loadAt(Math.floor(best / slotMs)) < full) return best;

      const earliest = issuedAt + EARLIEST_SHARE * lifeMs;
      const latest = issuedAt + LATEST_SHARE * lifeMs;
      for (let slot = Math.floor(latest / slotMs); slot * slotMs >= earliest; slot -= 1) {
        if (loadAt(slot) < full) return Math.round(Math.min(latest, (slot + random()) * slotMs));
      }
      return best;
    },
    add: (backend, leaf) => count(backend, leaf, 1),
    remove: (backend, leaf) => count(backend, leaf, -1),
  };
}
