import { acmPcaCa } from './acmpca/backend.ts';
import type { CaBackendKind } from './backend.ts';
import { builtinCa } from './builtin.ts';
import { certManagerCa } from './certmanager/backend.ts';
import { providedCa } from './provided.ts';
import { vaultCa } from './vault/backend.ts';

export { createEgress } from './egress.ts';
export { createFileReader } from './file-reader.ts';

/** Every CA backend kind of this program; a new one is a file and a line here. */
export const caBackendKinds: readonly CaBackendKind[] = [builtinCa, providedCa, certManagerCa, vaultCa, acmPcaCa];
