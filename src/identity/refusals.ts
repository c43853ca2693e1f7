import { backoffMs } from '../lib/backoff.ts';
import { REFUSED } from './backoff.ts';

/** So far apart the refused proxies look whether it is their turn: whoever looks first has it, another one each time. Milliseconds. */
const SPREAD_MS = 1000;

/**
 * The proxies to which one backend said no (denied, invalid): asking again does not change the answer, mending a policy does. So one of them asks again
 * after a pause that grows, for all of them; when it gets its leaf, the others go at once.
 */
export interface Refusals {
  has(proxy: string): boolean;
  /** When a proxy of these may ask, epoch ms; up to `now`: it is its turn, until it has `failed` or is `gone`. Others may ask any time. */
  turn(proxy: string, now: number): number;
  /** The answer was no, or its turn brought nothing. When the next of them may ask, epoch ms. */
  failed(proxy: string, now: number): number;
  /** True when it was one of them: the others need not wait any more. */
  succeeded(proxy: string): boolean;
  gone(proxy: string): void;
  /** Something has changed: the next turn is now. */
  hurry(now: number): void;
  /** What they were refused for is no more. */
  clear(): void;
  /** `undefined`: nobody was refused. */
  memory(): RefusalMemory | undefined;
  restore(memory: RefusalMemory): void;
}

/** What is kept over a restart: how often one of them asked in vain, when the next may (epoch ms), and who they are. */
export interface RefusalMemory {
  readonly attempts: number;
  readonly nextTurn: number;
  readonly proxies: readonly string[];
}

export function createRefusals(random: () => number): Refusals {
  const refused = new Set<string>();
  let asking: string | undefined;
  let attempts = 0;
  let nextTurn = 0;

  function release(proxy: string): void {
    refused.delete(proxy);
    if (asking === proxy) asking = undefined;
  }
  function clear(): void {
    refused.clear();
    asking = undefined;
    attempts = 0;
    nextTurn = 0;
  }

  return {
    has: (proxy) => refused.has(proxy),
    turn(proxy, now) {
      if (!refused.has(proxy) || asking === proxy) return now;
      if (asking !== undefined || now < nextTurn) return Math.max(now, nextTurn) + 1 + Math.round(SPREAD_MS * random());
      asking = proxy;
      return now;
    },
    failed(proxy, now) {
      // Those that were refused together are one refusal.
      if (asking === proxy || nextTurn <= now) {
        attempts += 1;
        nextTurn = now + Math.round(backoffMs(attempts, { ...REFUSED, random: random() }));
      }
      refused.add(proxy);
      if (asking === proxy) asking = undefined;
      return nextTurn;
    },
    succeeded(proxy) {
      const was = refused.has(proxy);
      if (was) clear();
      return was;
    },
    gone: release,
    hurry(now) {
      if (asking === undefined) nextTurn = Math.min(nextTurn, now);
    },
    clear,
    memory: () => (refused.size === 0 ? undefined : { attempts, nextTurn, proxies: [...refused] }),
    restore(memory) {
      clear();
      for (const proxy of memory.proxies) refused.add(proxy);
      attempts = memory.attempts;
      nextTurn = memory.nextTurn;
    },
  };
}
