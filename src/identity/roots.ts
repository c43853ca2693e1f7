import type { Clock, Timer } from '../lib/clock.ts';
import type { HeldLeaf } from './identity.ts';

/**
 * A proxy may go on presenting the leaf it had for so long after the next one was issued: until its Envoy has taken that one. Milliseconds.
 * A proxy that lost its stream keeps its leaf here too, until it expires.
 */
const LINGER_MS = 60_000;

/**
 * Which trust anchors the leaves of a backend stand on, so that an anchor stays trusted until its last leaf is gone, whatever the CA announces now.
 * Leaves are stored with their anchor, so this survives a restart and is the same in every control plane.
 */
export interface Roots {
  add(backend: string, leaf: HeldLeaf): void;
  /** `replaced`: by another leaf, which its proxy may not have yet. */
  remove(backend: string, leaf: HeldLeaf, replaced: boolean): void;
  /** PEM of each anchor in use, sorted. */
  of(backend: string): readonly string[];
  /** The anchor of the leaf that was issued last. */
  newest(backend: string): string | undefined;
  close(): void;
}

/** `changed` is called when `of(backend)` is another list. `backend` is any key that is the backend's alone. */
export function createRoots(clock: Clock, changed: (backend: string) => void): Roots {
  interface Use {
    leaves: number;
    lingering: Timer | undefined;
    lingerUntil: number;
  }
  const backends = new Map<string, { anchors: Map<string, Use>; newest: string; newestAt: number }>();

  function drop(backend: string, anchor: string): void {
    const one = backends.get(backend);
    const use = one?.anchors.get(anchor);
    if (one === undefined || use === undefined || use.leaves > 0 || use.lingering !== undefined) return;
    one.anchors.delete(anchor);
    if (one.anchors.size === 0) backends.delete(backend);
    changed(backend);
  }

  return {
    add(backend, leaf) {
      if (leaf.anchorPem === undefined) return;
      let one = backends.get(backend);
      if (one === undefined) {
        one = { anchors: new Map(), newest: leaf.anchorPem, newestAt: leaf.issuedAt };
        backends.set(backend, one);
      }
      if (leaf.issuedAt >= one.newestAt) {
        one.newest = leaf.anchorPem;
        one.newestAt = leaf.issuedAt;
      }
      const use = one.anchors.get(leaf.anchorPem);
      if (use !== undefined) {
        use.leaves += 1;
        return;
      }
      one.anchors.set(leaf.anchorPem, { leaves: 1, lingering: undefined, lingerUntil: 0 });
      changed(backend);
    },
    remove(backend, { anchorPem, notAfter }, replaced) {
      const use = anchorPem === undefined ? undefined : backends.get(backend)?.anchors.get(anchorPem);
      if (anchorPem === undefined || use === undefined) return;
      use.leaves -= 1;
      const until = replaced ? Math.min(notAfter, clock.now() + LINGER_MS) : 0;
      if (until <= clock.now()) {
        drop(backend, anchorPem);
        return;
      }
      if (until <= use.lingerUntil) return;
      use.lingerUntil = until;
      use.lingering?.cancel();
      use.lingering = clock.after(until - clock.now(), () => {
        use.lingering = undefined;
        drop(backend, anchorPem);
      });
    },
    of: (backend) => [...(backends.get(backend)?.anchors.keys() ?? [])].sort(),
    newest: (backend) => backends.get(backend)?.newest,
    close() {
      for (const { anchors } of backends.values()) for (const { lingering } of anchors.values()) lingering?.cancel();
      backends.clear();
    },
  };
}
