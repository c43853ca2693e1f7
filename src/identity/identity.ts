/**
 * The contract between issuance (`identity/`) and everyone who uses its results (`push/`, `insights/`, `rest/`).
 *
 * `wanted -> decide -> key + CSR -> backend.sign -> check -> held leaf -> listeners`, beside configuration and never in its way.
 */

import type { MeshDistrust } from './distrust.ts';
import type { IssuedLeaf } from './history.ts';
import type { KeyHolder } from './proxy-key.ts';

/** One proxy of one mesh, as a key. */
export interface ProxyKey {
  readonly mesh: string;
  readonly name: string;
}

/** What a proxy's leaf must look like now. Built from the Mesh and the Dataplane by `desiredIdentity` (pure). */
export interface DesiredIdentity {
  /** Name of the enabled backend. */
  readonly backend: string;
  /** In order, section 2.1 of the compatibility reference. */
  readonly uriSans: readonly string[];
  readonly lifetimeMs: number;
  readonly keyType: 'ec-p256' | 'rsa-2048';
  /** The private key is made beside the proxy and stays there; absent: it is made here. */
  readonly keys?: 'proxy';
  /** Deadline of one issuance; absent: 60 s. */
  readonly requestTimeoutMs?: number;
}

/** A leaf that passed every check. Frozen; replaced as a whole. */
export interface HeldLeaf {
  /** PEM, leaf first. */
  readonly chainPem: string;
  /** PEM PKCS#8. Never logged; leaves this process only to its proxy. Absent: the key is beside the proxy. */
  readonly keyPem?: string;
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex, when the key is beside the proxy. */
  readonly keyId?: string;
  /** Lower-case hex, no separators. */
  readonly serial: string;
  readonly uriSans: readonly string[];
  readonly backend: string;
  /** Distinguished name of the issuer, RFC 4514. */
  readonly issuer: string;
  /** PEM of the trust anchor its chain ends in; absent in records of former versions. */
  readonly anchorPem?: string;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Epoch ms when this program issued it. */
  readonly issuedAt: number;
  /** The life that was asked for, in ms; absent in records of former versions. There are issuers that give more, whatever is asked. */
  readonly askedMs?: number;
  /** Epoch ms; chosen once, in 70-80 % of the life; earlier when too many others are renewed then (`renewal-plan.ts`), never later. */
  readonly renewAt: number;
  /** How many leaves this proxy got so far, this one included. */
  readonly generation: number;
  /** Why it was issued; absent in records of former versions. */
  readonly reason?: string;
  /** The leaves before it, newest first, bounded (`history.ts`); absent in records of former versions. */
  readonly former?: readonly IssuedLeaf[];
}

/** Somebody asked to have leaves issued anew: of one proxy, of a service, or of the whole mesh. */
export interface RenewalRequest {
  readonly mesh: string;
  readonly proxy?: string;
  readonly service?: string;
  /** Only leaves of this backend. */
  readonly backend?: string;
  /** Epoch ms: leaves issued before are replaced. */
  readonly at: number;
}

export interface IssuanceFailure {
  readonly message: string;
  /** Epoch ms. */
  readonly at: number;
  /** Epoch ms of the first of the attempts that failed in a row. */
  readonly since: number;
  readonly attempts: number;
  /** Epoch ms of the next attempt. */
  readonly nextAttemptAt: number;
}

/** State of one proxy's certificate for people and insights. */
export interface IdentityState {
  readonly desired: DesiredIdentity | undefined;
  readonly leaf: HeldLeaf | undefined;
  readonly failure: IssuanceFailure | undefined;
}

/** What every proxy of a mesh shall trust. */
export interface TrustBundle {
  readonly mesh: string;
  /**
   * Concatenated PEM of what all listed backends announce, and of what unexpired leaves of theirs still stand on; sorted and de-duplicated:
   * equal bundles are equal strings.
   */
  readonly pem: string;
  /** CRLs, PEM, one of each CA that leaves are signed with; absent: nothing is revoked, or not every CA of the mesh can say what is. */
  readonly crlPem?: string;
  /** `MeshDistrust.epoch`, when it is not 0. */
  readonly distrustEpoch?: number;
  /** Content hash of the certificates and CRLs. */
  readonly version: string;
  /** Names of the backends in it. */
  readonly backends: readonly string[];
}

/** How one backend is. */
export interface BackendHealth {
  readonly state: 'Starting' | 'Ready' | 'Failing';
  /** One word, such as `IssuerNotFound`. */
  readonly reason: string;
  /** One sentence for people, with the remedy. */
  readonly message: string;
  /** Something to paste that mends it: a manifest or a command. */
  readonly fix?: string;
  /** Epoch ms: when this state with this reason began. */
  readonly since: number;
}

/** A CA certificate that the proxies of a mesh trust. */
export interface TrustedRoot {
  readonly subject: string;
  /** SHA-256, upper-case hex with colons. */
  readonly fingerprint: string;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** False: the backend issues from another one, now or still; it stays until the last leaf under it is gone. */
  readonly current: boolean;
}

/** One listed backend of a mesh: how it is and what it is trusted by. */
export interface BackendTrust extends BackendHealth {
  readonly name: string;
  readonly type: string;
  /** It is the one that issues. */
  readonly enabled: boolean;
  readonly roots: readonly TrustedRoot[];
}

/** One listed backend of a mesh for people: API, command line. */
export interface BackendState extends BackendTrust {
  /** Proxies in its queue. */
  readonly waiting: number;
  /** Requests to it that are under way. */
  readonly inFlight: number;
  /** Certificates a second to expect of it: what it gave lately while proxies wait, else what it may be asked; absent: not limited. */
  readonly ratePerSecond?: number;
}

export type IdentityEvent =
  | { readonly kind: 'leaf'; readonly proxy: ProxyKey; readonly leaf: HeldLeaf; readonly reason: string }
  | { readonly kind: 'failure'; readonly proxy: ProxyKey; readonly failure: IssuanceFailure; readonly backend: string }
  | { readonly kind: 'bundle'; readonly mesh: string; readonly bundle: TrustBundle | undefined }
  /** `backends(mesh)` answers something else now. */
  | { readonly kind: 'backends'; readonly mesh: string }
  /** `distrust(mesh)` answers something else now. */
  | { readonly kind: 'distrust'; readonly mesh: string };

/** The running service; made by `createIdentityService`. */
export interface IdentityService {
  /**
   * Says what mTLS of a mesh is now (from the stored Mesh): opens and closes backends, refreshes the bundle.
   * `undefined`: the mesh is gone or mTLS is off. A backend whose type and conf did not change is kept as it is.
   */
  setMesh(mesh: string, mtls: import('../resources/kinds/mesh.ts').MeshMtls | undefined): void;
  /** A used Secret changed: backends standing on it are opened again and the bundle refreshed. */
  secretChanged(mesh: string, secretName: string): void;
  /** What this proxy's leaf must be; `undefined`: none (mTLS off or proxy gone; a held leaf is forgotten after a while, not at once). Idempotent and cheap. */
  want(proxy: ProxyKey, desired: DesiredIdentity | undefined): void;
  /**
   * The launcher of a proxy whose key is made beside it, or `undefined` once it left. Without one no leaf is issued to that proxy; the one it has stays.
   */
  setKeyHolder(proxy: ProxyKey, holder: KeyHolder | undefined): void;
  /**
   * Issues the leaves anew that the request is about, each at its turn, through the queue as any other. Those of proxies that come later too. One that
   * waits after a failure is tried at once when it was asked for by name.
   */
  renew(request: RenewalRequest): void;
  /**
   * Says what the mesh trusts no more: whoever holds such a leaf gets another one at once, what can be revoked is, and what is distrusted leaves the bundle.
   * To be said before the first `want` of the mesh.
   */
  setDistrust(mesh: string, distrust: MeshDistrust): void;
  distrust(mesh: string): MeshDistrust;
  /** Why leaves of this mesh can't be revoked now; `undefined`: they can. Asks the backends. */
  notRevocable(mesh: string): Promise<string | undefined>;
  /** Every proxy of the mesh that holds a leaf, of other control planes too. */
  leaves(mesh: string): Iterable<{ readonly proxy: ProxyKey; readonly leaf: HeldLeaf }>;
  state(proxy: ProxyKey): IdentityState;
  bundle(mesh: string): TrustBundle | undefined;
  /** The listed backends in the order of the Mesh; empty when mTLS is off. */
  backends(mesh: string): readonly BackendState[];
  /** True when `leaf` chains to an anchor in `bundlePem`. */
  verifies(leaf: HeldLeaf, bundlePem: string): boolean;
  /** Synchronous, in order. Returns the unsubscriber. */
  subscribe(listener: (event: IdentityEvent) => void): () => void;
  /** Loads sealed leaves from the store; to be awaited before the first `want`. */
  start(): Promise<void>;
  close(): Promise<void>;
}
