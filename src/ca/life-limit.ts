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

const END = '-----END CERTIFICATE-----';

export function createLifeLimit(now: () => number): LifeLimit {
  /** Epoch ms: when the first of those ends that signed the last answer. */
  let signersEnd: number | undefined;
  /** Of the last answer: PEM of all that is above the leaf. */
  let lastAbove: string | undefined;
  return {
    limit(lifetimeMs) {
      const remaining = (signersEnd ?? Number.POSITIVE_INFINITY) - now();
      // What has ended was replaced meanwhile, or the answer is refused.
      if (remaining <= 0) return lifetimeMs;
      return Math.min(lifetimeMs, remaining - Math.min(CA_MARGIN_MS, remaining / 4));
    },
    learn(chain, anchorsPem) {
      const known = signersEnd;
      const sent = chain.pem.slice(chain.pem.indexOf(END) + END.length).trim();
      const above = `${sent}\n${chain.anchorsPem ?? anchorsPem ?? ''}`;
      // The same signers once more: nothing new. Without an intermediate, anchors of one name cannot be told apart so cheaply.
      if (sent !== '' && above === lastAbove) return false;
      lastAbove = above;
      const leaf = readNode(parseCertificates(chain.pem)[0]!);
      const end = endOfSigners(leaf, above);
      if (end !== undefined) signersEnd = end;
      return end !== undefined && end !== known && leaf.validToDate.getTime() > end && end > now();
    },
  };
}

/** Epoch ms: the first end of those that signed `leaf`, as far as they can be found; `above`: what is known of them, PEM. */
function endOfSigners(leaf: X509Certificate, above: string): number | undefined {
  if (above.trim() === '') return undefined;
  const signers = pathUpward(leaf, parseCertificates(above).map(readNode)).slice(1);
  return signers.length === 0 ? undefined : Math.min(...signers.map((node) => node.validToDate.getTime()));
}
