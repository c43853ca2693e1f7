import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { DistrustEntry, DistrustKind } from '../resources/kinds/mesh-distrust.ts';
import type { Resource, Violation } from '../resources/resource.ts';

/** What somebody wants to be distrusted. */
export interface DistrustRequest {
  readonly kind: DistrustKind;
  /** Serial (lower-case hex), service or backend. */
  readonly name: string;
  readonly reason?: string;
  /** User. */
  readonly by: string;
}

/** What distrusting it does, and what it can not. */
export type DistrustEffect =
  /** Every proxy refuses the certificates: they are in the CRL. */
  | { readonly kind: 'revoked' }
  /** The backend's CA certificates are in no trust bundle. */
  | { readonly kind: 'untrusted' }
  /** Clients with the service's identity are refused, with new certificates too, until it is lifted. */
  | { readonly kind: 'denied'; readonly why: string }
  /** Its proxy has a new certificate; this one is accepted until it ends. */
  | { readonly kind: 'replaced-only'; readonly why: string };

export interface Distrusted {
  readonly entry: DistrustEntry;
  readonly effect: DistrustEffect;
}

/** What the `_distrust` routes need to know and do; `control-plane/` has it. */
export interface DistrustSource {
  list(mesh: string): Promise<readonly Distrusted[]>;
  /** Answers violations when it can't be; the same again replaces it. */
  add(mesh: Resource<MeshSpec>, request: DistrustRequest): Promise<Distrusted | readonly Violation[]>;
  /** False: there is none. */
  lift(mesh: string, kind: DistrustKind, name: string): Promise<boolean>;
}
