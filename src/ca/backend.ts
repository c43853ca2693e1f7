import type { Violation } from '../resources/resource.ts';

/** A CA's public side. */
export interface TrustAnchors {
  /** PEM certificates the proxies shall trust for this backend: root (and intermediates where there is no root), de-duplicated. */
  readonly pem: string;
  /** Epoch ms; the earliest end of a certificate in the signing chain: no leaf may outlive it. */
  readonly notAfter: number;
  /** Epoch ms when to ask again; absent: only when the Mesh or a used Secret changes. */
  readonly refreshAt?: number;
}

/** One leaf to sign. The workload's private key is never in it. */
export interface SigningRequest {
  /**
   * DER of a PKCS#10 request whose SAN extension holds exactly `uriSans`. Made when first asked for: signers that build the leaf
   * from `publicKey` themselves never pay for it.
   */
  readonly csr: () => Promise<Uint8Array>;
  /** SubjectPublicKeyInfo (DER) of the workload's key. */
  readonly publicKey: Uint8Array;
  /** URI SANs in order: `spiffe://<mesh>/<service>` ..., then `kuma://<tag>/<value>` ... */
  readonly uriSans: readonly string[];
  /** Life asked for, in ms; a signer shortens it to its own end. */
  readonly lifetimeMs: number;
}

/** What a CA answers: leaf first, then intermediates upward, root left out. PEM. */
export interface Chain {
  readonly pem: string;
}

export type CaErrorCode = 'unavailable' | 'denied' | 'invalid-request' | 'not-configured' | 'throttled' | 'timeout';

export class CaError extends Error {
  readonly code: CaErrorCode;
  constructor(code: CaErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CaError';
    this.code = code;
  }
}

/** One configured backend of one mesh. Remote ones take the signal seriously. Throws `CaError`. */
export interface CaBackend {
  trustAnchors(signal: AbortSignal): Promise<TrustAnchors>;
  /** One CSR in, one chain out; never sees a private key of a workload. */
  sign(request: SigningRequest, signal: AbortSignal): Promise<Chain>;
  close?(): Promise<void>;
}

/** `mtls.backends[i]` as far as a backend kind needs it. */
export interface BackendConfig {
  readonly mesh: string;
  readonly name: string;
  readonly type: string;
  readonly conf: Readonly<Record<string, unknown>>;
}

/** Secrets of a mesh, as `ca/` needs them; `control-plane/` makes one from the store. Values are the decoded bytes. */
export interface SecretAccess {
  read(mesh: string, name: string): Promise<Buffer | undefined>;
  /** Creates all of them in one transaction, or none; when any exists already nothing is written and `false` comes back. Owned by the Mesh. */
  createTogether(mesh: string, secrets: ReadonlyMap<string, Buffer>): Promise<boolean>;
}

export interface CaDependencies {
  readonly secrets: SecretAccess;
  /** Reads a `file` data source; refuses paths outside the allowed directories. */
  readonly readFile: (path: string) => Promise<Buffer>;
  readonly now: () => number;
}

/** What one backend may be asked at once. */
export interface CaLimits {
  /** Signings in flight. */
  readonly concurrency: number;
  /** Signings started per second; absent: as many as it takes. */
  readonly perSecond?: number;
}

/** One type of CA backend: `builtin`, `provided`, later `vault`, `acmpca`, `certmanager`. Listed in `ca/index.ts`. */
export interface CaBackendKind {
  readonly type: string;
  /** Absent: 32 signings in flight. */
  readonly limits?: CaLimits;
  /** Every violation of `conf`; `path` is `mtls.backends[i].conf`. May read secrets and files. */
  validate(config: BackendConfig, path: string, deps: CaDependencies): Promise<readonly Violation[]>;
  /** Names of the mesh Secrets this backend stands on: they can't be deleted while it is listed. */
  usedSecrets(config: BackendConfig): readonly string[];
  /** Makes what must exist before the first leaf (builtin: CA certificate and key). Safe to call again and from several replicas. */
  ensure?(config: BackendConfig, deps: CaDependencies): Promise<void>;
  open(config: BackendConfig, deps: CaDependencies): CaBackend;
}
