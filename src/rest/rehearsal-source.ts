import type { Rehearsal } from '../identity/rehearsal.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';

/** How the rehearsal of one backend went. */
export interface BackendRehearsal extends Rehearsal {
  readonly mesh: string;
  readonly backend: string;
  readonly type: string;
  /** What the present number of proxies means with this issuer, one sentence each; empty where the kind has nothing to say. */
  readonly usage: readonly string[];
}

/** Rehearses CA backends; `control-plane/` has it. */
export interface RehearsalSource {
  /** Issues a probe certificate that nobody uses. `undefined`: the Mesh lists no backend of this name. */
  test(mesh: Resource<MeshSpec>, backend: string): Promise<BackendRehearsal | undefined>;
}
