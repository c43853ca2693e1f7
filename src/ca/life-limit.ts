import type { X509Certificate } from 'node:crypto';
import { readNode } from '../x509/certificate.ts';
import { parseCertificates, pathUpward } from '../x509/chain.ts';
import type { Chain } from './backend.ts';

/** A leaf ends so long before its CA: the time until it is signed counts too. */
const CA_MARGIN_MS = 30_000;

/** How long the leaves of one issuer elsewhere may live: no longer than what signs them, as far as its answers have said. */
export interface LifeLimit {
  /** The life to ask for, in ms, where `lifetimeMs` is wanted. */
  limit(lifetimeMs: number): number;
  /** True when the leaf outlives its signers, which was not known when it was asked for: the question can be a better one now. */
  learn(chain: Chain, anchorsPem: string | undefined): boolean;
}

export function createLifeLimit(now: () => number): LifeLimit {
  /** Epoch ms: when the first of those ends that signed the last answer. */
  let signersEnd: number | undefined;
  return {
    limit(lifetimeMs) {
      const remaining = (signersEnd ?? Number.POSITIVE_INFINITY) - now();
      // What has ended was replaced meanwhile, or the answer is refused.
      if (remaining <= 0) return lifetimeMs;
      return Math.min(lifetimeMs, remaining - Math.min(CA_MARGIN_MS, remaining / 4));
    },
    learn(chain, anchorsPem) {
      const known = signersEnd;
      const { leaf, signers } = endsOf(chain.pem, chain.anchorsPem ?? anchorsPem);
      if (signers !== undefined) signersEnd = signers;
      return signers !== undefined && signers !== known && leaf > signers && signers > now();
    },
  };
}

/** Epoch ms: the end of the leaf, and the first end of those that signed it, as far as they can be found. */
function endsOf(pem: string, anchorsPem: string | undefined): { leaf: number; signers: number | undefined } {
  const [leaf, ...chain] = parseCertificates(pem).map(readNode);
  const anchors = anchorsPem === undefined ? [] : parseCertificates(anchorsPem).map(readNode);
  const signers = pathUpward(leaf!, [...chain, ...anchors]).slice(1);
  const end = (node: X509Certificate) => node.validToDate.getTime();
  return { leaf: end(leaf!), signers: signers.length === 0 ? undefined : Math.min(...signers.map(end)) };
}
