import type { HeldLeaf, TrustBundle } from '../identity/identity.ts';
import type { Clock, Timer } from '../lib/clock.ts';

/**
 * A leaf under a root that just joined the bundle goes out when the proxy's peers trust that root too: those of this control plane have acknowledged the
 * bundle, those of others had `SHARED_MS` to. A peer that never answers is waited for `LONGEST_MS`.
 */
export interface RootGate {
  /** What the mesh trusts now; `undefined`: mTLS is off. */
  bundle(mesh: string, bundle: TrustBundle | undefined): void;
  /** What this proxy has acknowledged; `undefined`: it left, or trusts nothing. */
  acknowledged(mesh: string, proxy: string, bundle: TrustBundle | undefined): void;
  /** Whether `leaf` may be presented to the peers of its proxy. */
  opens(mesh: string, leaf: HeldLeaf): boolean;
  close(): void;
}

const SHARED_MS = 2000;
const LONGEST_MS = 10_000;
/** Timers of Node may be a millisecond early, and who is woken too early is not woken again for long. */
const EARLY_MS = 5;

interface MeshRoots {
  current: TrustBundle | undefined;
  /** What was trusted before the last changes that followed each other within `LONGEST_MS`. */
  former: TrustBundle | undefined;
  changedAt: number;
  readonly byProxy: Map<string, TrustBundle>;
  /** How many proxies have acknowledged each bundle. */
  readonly counts: Map<TrustBundle, number>;
  timers: Timer[];
}

/** `wake`: leaves of this mesh may pass now that did not before. */
export function createRootGate(options: {
  clock: Clock;
  verifies: (leaf: HeldLeaf, bundlePem: string) => boolean;
  wake: (mesh: string) => void;
}): RootGate {
  const { clock } = options;
  const meshes = new Map<string, MeshRoots>();

  function of(mesh: string): MeshRoots {
    let one = meshes.get(mesh);
    if (one === undefined) {
      one = {
        current: undefined,
        former: undefined,
        changedAt: Number.NEGATIVE_INFINITY,
        byProxy: new Map(),
        counts: new Map(),
        timers: [],
      };
      meshes.set(mesh, one);
    }
    return one;
  }

  const settled = (one: MeshRoots) => one.former === undefined || clock.monotonic() - one.changedAt >= LONGEST_MS;

  return {
    bundle(mesh, bundle) {
      const one = of(mesh);
      if (one.current?.pem === bundle?.pem) {
        one.current = bundle;
        return;
      }
      if (settled(one)) one.former = one.current;
      one.current = bundle;
      one.changedAt = clock.monotonic();
      for (const timer of one.timers) timer.cancel();
      one.timers =
        one.former === undefined || bundle === undefined
          ? []
          : [SHARED_MS, LONGEST_MS].map((ms) => clock.after(ms + EARLY_MS, () => options.wake(mesh)));
    },
    acknowledged(mesh, proxy, bundle) {
      const one = of(mesh);
      const before = one.byProxy.get(proxy);
      if (before === bundle) return;
      if (before !== undefined) {
        const left = one.counts.get(before)! - 1;
        if (left === 0) one.counts.delete(before);
        else one.counts.set(before, left);
      }
      if (bundle === undefined) one.byProxy.delete(proxy);
      else {
        one.byProxy.set(proxy, bundle);
        one.counts.set(bundle, (one.counts.get(bundle) ?? 0) + 1);
      }
      const lastOfItsBundle = before !== undefined && !one.counts.has(before);
      if (lastOfItsBundle && !settled(one)) options.wake(mesh);
    },
    opens(mesh, leaf) {
      const one = of(mesh);
      if (settled(one) || one.former === undefined || options.verifies(leaf, one.former.pem)) return true;
      if (clock.monotonic() - one.changedAt < SHARED_MS) return false;
      return [...one.counts.keys()].every(({ pem }) => options.verifies(leaf, pem));
    },
    close() {
      for (const { timers } of meshes.values()) for (const timer of timers) timer.cancel();
      meshes.clear();
    },
  };
}
