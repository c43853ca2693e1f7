/** What the benchmark and the fleet process say to each other. */
import type { Scenario } from '../scenario.ts';
import type { Protocol, TypeName } from './messages.ts';

/** Something that each Envoy reaches at a moment after `since` (monotonic ms). */
export type Condition =
  | { readonly kind: 'configured'; readonly since: number }
  | { readonly kind: 'leaf'; readonly since: number }
  | { readonly kind: 'marker'; readonly since: number; readonly marker: string };

export type Command =
  | {
      readonly kind: 'start';
      readonly scenario: Scenario;
      readonly from: number;
      readonly to: number;
      readonly url: string;
      readonly authorization: string;
      readonly protocol: Protocol;
      readonly alwaysNode: boolean;
    }
  /** `proxies`: indices in order of start; all when absent. */
  | {
      readonly kind: 'await';
      readonly condition: Condition;
      readonly proxies?: readonly number[];
      readonly timeoutMs: number;
    }
  | { readonly kind: 'reset' }
  | { readonly kind: 'totals' }
  | { readonly kind: 'serials' }
  | { readonly kind: 'stop' };

export interface Totals {
  readonly envoys: number;
  readonly connected: number;
  readonly reconnects: number;
  readonly responses: Readonly<Record<TypeName, number>>;
  readonly resources: Readonly<Record<TypeName, number>>;
  readonly bytes: number;
  readonly requests: number;
}

export type Reply =
  | { readonly kind: 'done' }
  /** Monotonic ms, sorted; `missing` did not get there in time. */
  | { readonly kind: 'times'; readonly times: readonly number[]; readonly missing: number; readonly example: string }
  | { readonly kind: 'totals'; readonly totals: Totals }
  | { readonly kind: 'serials'; readonly serials: readonly string[] }
  | { readonly kind: 'failed'; readonly reason: string };
