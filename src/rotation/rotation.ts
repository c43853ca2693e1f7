/**
 * The change of a CA as a state machine: pure, and the same for another backend (`switch`) and for a new CA of a builtin backend (`renew`).
 *
 * ```
 * Trusting ── activate ──> Issuing ──> Retiring ── retire ──> Done
 *     │                       │            │
 *     └────────── rollback ───┴────────────┘──> RollingBack ── restore ──> RolledBack
 * ```
 * What is stored is what was asked for and the phase; everything else is seen anew at each look (`Sighting`), so a control plane that dies at any
 * point is followed by one that goes on. `machine.ts` decides, `control-plane/ca-rotation` looks and acts.
 */
import type { CaRotationSpec, RotationPhase } from '../resources/kinds/ca-rotation.ts';

export type Rotation = CaRotationSpec;

/** One proxy that takes part in mTLS, as its insight has it. */
export interface RotatingProxy {
  readonly name: string;
  /** Its `kuma.io/service` values, sorted; at least one. */
  readonly services: readonly string[];
  readonly connected: boolean;
  /** Fingerprints of the CAs it has acknowledged: SHA-256, lower-case hex. */
  readonly trusts: ReadonlySet<string>;
  /** The leaf it has acknowledged; `undefined`: none, or not known. */
  readonly leaf: PresentedLeaf | undefined;
  /** What is in the way of this proxy, in words. */
  readonly problem: string | undefined;
  /** When its Dataplane was made, epoch ms; only while no control plane has said anything of the proxy. */
  readonly unheardSince?: number;
}

export interface PresentedLeaf {
  readonly backend: string;
  /** Fingerprint of the trust anchor it chains to; '' when it is not known. */
  readonly root: string;
  /** Epoch ms. */
  readonly notAfter: number;
}

/** Why the new CA cannot be used yet. */
export interface RotationProblem {
  readonly reason: string;
  readonly message: string;
  readonly fix?: string;
}

/** The mesh as it is at one moment. */
export interface Sighting {
  /** Epoch ms. */
  readonly now: number;
  /** Which of the two CAs issues; `undefined`: neither, so the rotation has no object any more. */
  readonly issuing: 'old' | 'new' | undefined;
  /** In words, when `issuing` is `undefined`. */
  readonly gone?: string;
  /** The CA that does not issue is still there and trusted: listed in the Mesh, or kept beside the builtin CA. */
  readonly otherKept: boolean;
  /** Fingerprints of what leaves of the new and the old CA chain to; empty: not known yet. */
  readonly newRoots: ReadonlySet<string>;
  readonly oldRoots: ReadonlySet<string>;
  /** What is in the way of the CA that shall issue. */
  readonly problem: RotationProblem | undefined;
  readonly proxies: readonly RotatingProxy[];
}

/** What is to be done next; each may be done again. */
export type RotationAction =
  /** `renew`: the next CA is made, and trusted from then on. */
  | 'prepare'
  /** The new CA issues. */
  | 'activate'
  /** The CA that does not issue is not trusted any more. */
  | 'retire'
  /** The old CA issues again. */
  | 'restore';

/** What a rotation waits for at the moment, for people. */
export interface Waiting {
  readonly reason: 'Paused' | 'Blocked' | 'ProxiesToTrust' | 'ProxiesToRenew' | 'OfflineProxies' | 'NewProxies';
  readonly message: string;
  readonly fix?: string;
  /** Names of the first of the proxies that are waited for, sorted. */
  readonly proxies: readonly string[];
}

const ENDED: ReadonlySet<RotationPhase> = new Set<RotationPhase>(['Done', 'RolledBack', 'Cancelled']);

/** Nothing more happens in it. */
export function isEnded({ phase }: Pick<Rotation, 'phase'>): boolean {
  return ENDED.has(phase);
}
