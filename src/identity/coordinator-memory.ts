import type { OpenBreaker } from './breaker.ts';
import type { RefusalMemory } from './refusals.ts';

/** What a coordinator knows that a restart must not forget, or it would storm an issuer that was left alone for a reason. Plain JSON; times are epoch ms. */
export interface CoordinatorMemory {
  /** The rate that throttling left, a second. */
  readonly slowedTo?: number;
  readonly breaker?: OpenBreaker;
  readonly refusals?: RefusalMemory;
  readonly failures?: readonly RememberedFailure[];
  /** What the last failure said, for all of them. */
  readonly lastError?: string;
}

export interface RememberedFailure {
  readonly proxy: string;
  readonly attempts: number;
  readonly since: number;
  readonly nextAttemptAt: number;
}

/** Bounds of one record. A proxy that is left out asks once more than it should after a restart. */
export const MOST_REMEMBERED = 500;
export const LONGEST_ERROR = 500;

/** The memory of one backend of one mesh, as it is stored. */
export interface BackendMemory {
  readonly mesh: string;
  readonly backend: string;
  /** Hash of the type and conf it is about: what was learned of another issuer is worth nothing. */
  readonly conf: string;
  readonly memory: CoordinatorMemory;
}

/** Where memories are kept; `control-plane/` makes one from the store. */
export interface BackendMemories {
  load(): Promise<readonly BackendMemory[]>;
  /** Replaces what was stored for these backends. Of several control planes the last one wins. */
  save(memories: readonly BackendMemory[]): Promise<void>;
  /** Nothing stored is no error. */
  remove(backends: readonly Pick<BackendMemory, 'mesh' | 'backend'>[]): Promise<void>;
}
