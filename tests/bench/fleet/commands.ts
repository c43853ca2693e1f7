/** What the benchmark and the fleet process say to each other. */
import type { NodeSpec, Protocol, TypeName } from './messages.ts';

/** Who one simulated Envoy says it is. */
export interface FleetProxy {
  readonly node: NodeSpec;
  /** Value of the `authorization` header. */
  readonly authorization: string;
}

/** Something that each Envoy reaches at a moment after `since` (monotonic ms). */
export type Condition =
  | { readonly kind: 'configured'; readonly since: number }
  | { readonly kind: 'leaf'; readonly since: number }
  /** Acknowledged endpoints of whatever cluster. */
  | { readonly kind: 'endpoint'; readonly since: number }
  | { readonly kind: 'marker'; readonly since: number; readonly marker: string };

export type Command =
  | {
      readonly kind: 'start';
      readonly proxies: readonly FleetProxy[];
      readonly url: string;
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
