import type { CaBackendKind } from './backend.ts';
import { builtinCa } from './builtin.ts';
import { providedCa } from './provided.ts';

export { createFileReader } from './file-reader.ts';

/** Every CA backend kind of this program; a new one is a file and a line here. */
export const caBackendKinds: readonly CaBackendKind[] = [builtinCa, providedCa];

/** Finds kinds by the `type` of a Mesh's backend. */
export interface CaRegistry {
  /** `undefined`: there is no such kind in this program. */
  get(type: string): CaBackendKind | undefined;
  /** Sorted. */
  readonly types: readonly string[];
}

export function createCaRegistry(kinds: readonly CaBackendKind[]): CaRegistry {
  const byType = new Map(kinds.map((kind) => [kind.type, kind]));
  return { get: (type) => byType.get(type), types: [...byType.keys()].sort() };
}
