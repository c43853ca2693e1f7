import { type CaBackendKind, CaError } from '../../ca/backend.ts';
import { builtinCa } from '../../ca/builtin.ts';
import type { Clock } from '../../lib/clock.ts';

/** An issuer elsewhere that takes so many requests a second and no more, as ACM Private CA does: a bucket that holds the requests of one second. */
export interface LimitedIssuer {
  /** A kind of backend that asks it. */
  readonly kind: CaBackendKind;
  /** While false every request fails. */
  alive: boolean;
  /** Each request that reached it. */
  readonly calls: readonly IssuerCall[];
  /** Requests that were answered with a leaf so far. */
  readonly signed: number;
}

export interface IssuerCall {
  /** Monotonic, in ms. */
  readonly at: number;
  readonly outcome: 'issued' | 'throttled' | 'failed';
}

/** In the time of `clock`. `known`: what the kind of backend says of its limits; signing itself is the builtin CA's. */
export function createLimitedIssuer(options: {
  clock: Clock;
  perSecond: number;
  latencyMs: number;
  known: CaBackendKind['limits'];
}): LimitedIssuer {
  const { clock, perSecond, latencyMs } = options;
  const calls: IssuerCall[] = [];
  let signed = 0;
  let tokens = perSecond;
  let filledAt = clock.monotonic();

  /** What a request that arrives now gets. */
  function outcome(): IssuerCall['outcome'] {
    if (!issuer.alive) return 'failed';
    const now = clock.monotonic();
    tokens = Math.min(perSecond, tokens + ((now - filledAt) / 1000) * perSecond);
    filledAt = now;
    if (tokens < 1) return 'throttled';
    tokens -= 1;
    return 'issued';
  }

  async function answer(): Promise<void> {
    const result = outcome();
    calls.push({ at: clock.monotonic(), outcome: result });
    await new Promise<void>((resolve) => clock.after(latencyMs, resolve));
    if (result === 'throttled') throw new CaError('throttled', 'too many requests in a second');
    if (result === 'failed') throw new CaError('unavailable', 'connection refused');
    signed += 1;
  }

  const { limits: _limits, local: _local, ...kind } = builtinCa;
  const issuer = {
    alive: true,
    calls,
    get signed() {
      return signed;
    },
    kind: {
      ...kind,
      type: 'limited',
      ...(options.known === undefined ? {} : { limits: options.known }),
      open(config, deps) {
        const signer = builtinCa.open(config, deps);
        return {
          trustAnchors: (signal) => signer.trustAnchors(signal),
          async sign(request, signal) {
            await answer();
            return await signer.sign(request, signal);
          },
        };
      },
    } satisfies CaBackendKind,
  };
  return issuer;
}
