import { readNode } from '../x509/certificate.ts';
import { parseCertificates, reachesAnchor } from '../x509/chain.ts';
import type { HeldLeaf } from './identity.ts';

/** Whether a leaf chains to a bundle, remembered per leaf and bundle: a push asks for each proxy. */
export interface TrustCache {
  verifies(leaf: HeldLeaf, bundlePem: string): boolean;
}

export function createTrustCache(): TrustCache {
  const anchorsOf = new Map<string, ReturnType<typeof readNode>[]>();
  const verdicts = new WeakMap<HeldLeaf, Map<string, boolean>>();
  return {
    verifies(leaf, bundlePem) {
      let ofLeaf = verdicts.get(leaf);
      if (ofLeaf === undefined) {
        ofLeaf = new Map();
        verdicts.set(leaf, ofLeaf);
      }
      let verdict = ofLeaf.get(bundlePem);
      if (verdict === undefined) {
        let anchors = anchorsOf.get(bundlePem);
        if (anchors === undefined) {
          anchors = parseCertificates(bundlePem).map(readNode);
          if (anchorsOf.size > 100) anchorsOf.clear();
          anchorsOf.set(bundlePem, anchors);
        }
        // What its issuance has found out: the same bytes are the same anchor.
        const isItsAnchor = leaf.anchorPem !== undefined && bundlePem.includes(leaf.anchorPem);
        verdict = isItsAnchor || reachesAnchor(leaf.chainPem, anchors);
        if (ofLeaf.size > 8) ofLeaf.clear();
        ofLeaf.set(bundlePem, verdict);
      }
      return verdict;
    },
  };
}
