import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/** Whose a token is, as the API server says (TokenReview). */
export type TokenVerdict =
  | { readonly authenticated: false; readonly reason: string }
  | {
      readonly authenticated: true;
      /** `system:serviceaccount:<namespace>:<name>` for a ServiceAccount. */
      readonly username: string;
      /** Of the asked audiences those that the token is meant for. */
      readonly audiences: readonly string[];
      /** The Pod the token belongs to. */
      readonly pod?: { readonly name: string; readonly uid: string };
    };

/** Asks the API server; rejects when it gives no verdict. */
export type ReviewToken = (token: string, audiences: readonly string[]) => Promise<TokenVerdict>;

export interface ReviewCache {
  /**
   * The verdict of this token, at most `freshMs` old. When the API server gives none, an older good one will do until the token expires; without
   * one this rejects as `review` did. One review is under way per token.
   */
  review(token: string, expiresAt: number | undefined): Promise<TokenVerdict>;
}

interface Held {
  readonly verdict: TokenVerdict;
  /** Epoch ms. */
  readonly at: number;
}

/** A refused token is asked for again soon: whoever sent it cannot be slowed down for long by a mistake of the moment. Milliseconds. */
const REFUSED_FRESH_MS = 5000;
const REFUSED_ENTRIES = 1024;

/** Tokens are kept as hashes. Good and refused ones apart, so that strangers cannot push the good ones out. */
export function createReviewCache(options: {
  readonly review: ReviewToken;
  readonly audiences: readonly string[];
  /** Epoch ms. */
  readonly now: () => number;
  /** Milliseconds. */
  readonly freshMs: number;
  readonly maxEntries: number;
}): ReviewCache {
  const { now, freshMs } = options;
  const good = new LRUCache<string, Held>({ max: options.maxEntries });
  const refused = new LRUCache<string, Held>({ max: REFUSED_ENTRIES });
  const underWay = new Map<string, Promise<TokenVerdict>>();

  /** An answer from before a step of the clock counts for nothing. */
  function isFresh(held: Held, forMs: number): boolean {
    const age = now() - held.at;
    return age >= 0 && age < forMs;
  }

  async function ask(key: string, token: string, expiresAt: number | undefined): Promise<TokenVerdict> {
    const at = now();
    try {
      const verdict = await options.review(token, options.audiences);
      good.delete(key);
      (verdict.authenticated ? good : refused).set(key, { verdict, at });
      return verdict;
    } catch (error) {
      const held = good.get(key);
      if (held !== undefined && expiresAt !== undefined && now() < expiresAt) return held.verdict;
      throw error;
    }
  }

  return {
    async review(token, expiresAt) {
      const key = createHash('sha256').update(token).digest('base64url');
      const held = good.get(key);
      if (held !== undefined && isFresh(held, freshMs) && (expiresAt === undefined || now() < expiresAt)) {
        return held.verdict;
      }
      const no = refused.get(key);
      if (no !== undefined && isFresh(no, REFUSED_FRESH_MS)) return no.verdict;
      let answer = underWay.get(key);
      if (answer === undefined) {
        answer = ask(key, token, expiresAt).finally(() => underWay.delete(key));
        underWay.set(key, answer);
      }
      return await answer;
    },
  };
}
