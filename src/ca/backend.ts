import type { Violation } from '../resources/resource.ts';
import type { RevokedCertificate } from '../x509/crl.ts';
import type { CsrNames } from '../x509/csr.ts';
import type { CertManager } from './certmanager/cert-manager.ts';
import type { Egress } from './egress.ts';

/** A CA's public side. */
export interface TrustAnchors {
  /** PEM certificates the proxies shall trust for this backend: root (and intermediates where there is no root), de-duplicated. */
  readonly pem: string;
  /** Those of `pem` that new leaves chain to; absent: all of them. The others are trusted for what was or will be signed by them. */
  readonly issuingPem?: string;
  /** Epoch ms; the earliest end of a certificate in the signing chain: no leaf may outlive it. */
  readonly notAfter: number;
  /** Epoch ms when to ask again; absent: only when the Mesh or a used Secret changes. */
  readonly refreshAt?: number;
}

/** One leaf to sign. The workload's private key is never in it, unless sealed. */
export interface SigningRequest {
  /** Name of the Dataplane it is for. */
  readonly proxy: string;
  /**
   * DER of a PKCS#10 request whose SAN extension holds exactly `uriSans`, and the names given. Made when first asked for: signers that build the leaf
   * from `publicKey` themselves never pay for it.
   */
  readonly csr: (names?: CsrNames) => Promise<Uint8Array>;
  /** SubjectPublicKeyInfo (DER) of the workload's key. */
  readonly publicKey: Uint8Array;
  /** URI SANs in order: `spiffe://<mesh>/<service>` ..., then `kuma://<tag>/<value>` ... */
  readonly uriSans: readonly string[];
  /** Life asked for, in ms; a signer shortens it to its own end. */
  readonly lifetimeMs: number;
  /** How long the caller waits for the answer, in ms. */
  readonly timeoutMs: number;
  /** The private key is not in this program and stays where it is: an issuer that makes keys itself is of no use, so such a backend throws `denied`. */
  readonly keyIsElsewhere?: boolean;
  /** The private key, sealed by the caller. What can be kept beside a request so that `resume` gives it back after a restart (decision 0010). */
  readonly sealedKey?: () => string;
}

/** What a CA answers: leaf first, then intermediates upward, root left out. PEM. */
export interface Chain {
  readonly pem: string;
  /** What the CA says with this answer that it shall be trusted by, PEM; absent: what `trustAnchors` said. */
  readonly anchorsPem?: string;
  /** DNS names the backend asked for besides the URIs. */
  readonly dnsNames?: readonly string[];
  /** PEM of the leaf's key, only when the issuer made it: then the leaf is for this key, not for the one of the request. Never logged. */
  readonly privateKeyPem?: string;
}

/** A request that is under way already: a former process or another control plane made it. */
export interface PendingRequest {
  /** The key it is for, where the caller made it. */
  readonly sealedKey?: string | undefined;
  /** DER SubjectPublicKeyInfo of the key it is for, where that is elsewhere. */
  readonly publicKey?: Uint8Array | undefined;
  /** As `sign`. */
  finish(signal: AbortSignal): Promise<Chain>;
}

/**
 * A request that is under way with an issuer where asking twice costs something: kept, so that neither a failure nor a crash pays twice (decision 0021).
 * One for each proxy.
 */
export interface PendingRecord {
  readonly mesh: string;
  readonly proxy: string;
  readonly backend: string;
  /** For `PendingRequest`; absent: the key is not the control plane's. */
  readonly sealedKey?: string | undefined;
  /** Only the backend reads it. As JSON has it. */
  readonly request: unknown;
  /** Epoch ms; after it the record is worthless. */
  readonly until: number;
}

/** Where they are kept; `control-plane/` makes one from the store. */
export interface PendingRecords {
  /** What was saved last, written or not. */
  find(mesh: string, proxy: string): Promise<PendingRecord | undefined>;
  /** Replaces the one of this proxy. Written a moment later, beside the work. */
  save(record: PendingRecord): void;
  remove(mesh: string, proxy: string): void;
}

/** Callers choose their pause before the next attempt by it. */
export type CaErrorCode =
  /** Not reached, or it broke; also a webhook in between. */
  | 'unavailable'
  /** It said no, and would again. */
  | 'denied'
  /** What was asked is not acceptable to it. */
  | 'invalid-request'
  /** Something has to be set up first; the message says what. */
  | 'not-configured'
  /** This program may not ask it. */
  | 'forbidden'
  | 'throttled'
  /** No answer in time. */
  | 'timeout'
  /** Nobody approved the request in time. */
  | 'not-approved'
  /** It tried and gave up on this request; a new one may do. */
  | 'failed'
  /** Somebody removed the request. */
  | 'deleted'
  /** The answer did not pass the checks. */
  | 'invalid-answer';

export class CaError extends Error {
  readonly code: CaErrorCode;
  /** One word for conditions and events, such as `IssuerNotFound`. */
  readonly reason: string;
  /** Something to paste that mends it: a manifest or a command. */
  readonly fix: string | undefined;
  /** The field of `conf` it is about, such as `caCert`; absent: none in particular. */
  readonly field: string | undefined;
  constructor(
    code: CaErrorCode,
    message: string,
    options: { cause?: unknown; reason?: string; fix?: string; field?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CaError';
    this.code = code;
    this.reason =
      options.reason ?? code.replace(/(^|-)([a-z])/g, (_all, _dash, letter: string) => letter.toUpperCase());
    this.fix = options.fix;
    this.field = options.field;
  }
}

/** What a CRL shall say. */
export interface CrlOrder {
  /** Grows from one CRL of a CA to the next. */
  readonly number: number;
  readonly revoked: readonly RevokedCertificate[];
}

/** A CRL of one CA. */
export interface Crl {
  readonly pem: string;
  /** PEM of the CA certificate that leaves are signed with; it signed the CRL. */
  readonly issuerPem: string;
}

/** What a backend notices by itself. */
export type CaNotice =
  /** What it stands on is another one: it should be asked again what to trust, and who waits may go right now. */
  | { readonly kind: 'changed' }
  /** What is in the way at the moment, before or while something is asked; `undefined`: nothing any more. */
  | { readonly kind: 'problem'; readonly problem: CaError | undefined }
  /** It issues, but not as it should, or not for long any more; `undefined`: all is well. */
  | { readonly kind: 'remark'; readonly remark: CaError | undefined };

/** One configured backend of one mesh. Remote ones take the signal seriously. Throws `CaError`. */
export interface CaBackend {
  trustAnchors(signal: AbortSignal): Promise<TrustAnchors>;
  /** One CSR in, one chain out; never sees a private key of a workload. */
  sign(request: SigningRequest, signal: AbortSignal): Promise<Chain>;
  /** True when every answer says what to trust: who knows that from its leaves need not ask first. */
  readonly announcesWithAnswers?: boolean;
  /** The request for this proxy and exactly these URIs that is under way; `undefined`: none. */
  resume?(proxy: string, uriSans: readonly string[], signal: AbortSignal): Promise<PendingRequest | undefined>;
  /** Calls `listener` from then on, never during this call. Ends with `close`. */
  notices?(listener: (notice: CaNotice) => void): void;
  /**
   * CRLs of every CA of this backend that leaves of the mesh are signed with, this moment. Absent: the key of the CA is elsewhere. Throws `CaError`:
   * `not-configured` when the CA certificate does not allow to sign CRLs.
   */
  crl?(order: CrlOrder, signal: AbortSignal): Promise<readonly Crl[]>;
  /** Ends what is under way and cleans up behind it. */
  close?(): Promise<void>;
}

/** `mtls.backends[i]` as far as a backend kind needs it. */
export interface BackendConfig {
  readonly mesh: string;
  readonly name: string;
  readonly type: string;
  readonly conf: Readonly<Record<string, unknown>>;
  /** Life of the leaves it will be asked for, in ms, where that is known. */
  readonly leafLifetimeMs?: number;
}

/** Secrets of a mesh, as `ca/` needs them; `control-plane/` makes one from the store. Values are the decoded bytes. */
export interface SecretAccess {
  read(mesh: string, name: string): Promise<Buffer | undefined>;
  /** Creates all of them in one transaction, or none; when any exists already nothing is written and `false` comes back. Owned by the Mesh. */
  createTogether(mesh: string, secrets: ReadonlyMap<string, Buffer>): Promise<boolean>;
  /** Creates or replaces all of them in one transaction; on Kubernetes one after the other, in this order. */
  writeTogether(mesh: string, secrets: ReadonlyMap<string, Buffer>): Promise<void>;
}

/** Which CAs a backend has, by the SHA-256 of their certificates, lower-case hex. */
export interface OwnCas {
  readonly signing: string;
  /** Trusted, and will sign. */
  readonly next: string | undefined;
  /** Trusted, and signed before. */
  readonly former: string | undefined;
}

/** What a kind can do whose CA is this program's own: another CA follows in steps, each of which may be done again. Throws `CaError`. */
export interface CaRenewal {
  state(config: BackendConfig, deps: CaDependencies): Promise<OwnCas>;
  /** Makes the next CA; it is trusted from then on. */
  prepare(config: BackendConfig, deps: CaDependencies): Promise<void>;
  /** The next CA signs, and the one before stays trusted. */
  activate(config: BackendConfig, deps: CaDependencies): Promise<void>;
  /** The former CA signs again; the other one stays trusted. */
  restore(config: BackendConfig, deps: CaDependencies): Promise<void>;
  /** Only the one that signs is left. */
  retire(config: BackendConfig, deps: CaDependencies): Promise<void>;
}

export interface CaDependencies {
  readonly secrets: SecretAccess;
  /** Reads a `file` data source; refuses paths outside the allowed directories. */
  readonly readFile: (path: string) => Promise<Buffer>;
  readonly now: () => number;
  /** The earliest time that it can be, where the clock of this machine was set (`lib/steady-clock.ts`); absent: as `now`. */
  readonly earliestNow?: (() => number) | undefined;
  /** The way out to issuers elsewhere. */
  readonly egress: Egress;
  /** Absent: what is under way is forgotten when the process ends. */
  readonly pending?: PendingRecords | undefined;
  /** cert-manager of the cluster this program runs in; absent outside Kubernetes. */
  readonly certManager?: CertManager | undefined;
}

/** What one backend may be asked at once. */
export interface CaLimits {
  /** Signings in flight. */
  readonly concurrency: number;
  /** Signings started per second; absent: as many as it takes. */
  readonly perSecond?: number;
}

/** Something that would be in the way of real leaves. */
export interface RehearsalFinding extends Violation {
  /** Something to paste that mends it: a manifest or a command. */
  readonly fix?: string;
}

/** What the leaves of a mesh will be, for `usage`. */
export interface ExpectedUse {
  readonly proxies: number;
  readonly leafLifetimeMs: number;
  /** Most leaves a second; absent: as many as it takes. */
  readonly perSecond?: number | undefined;
}

/** One type of CA backend: `builtin`, `provided`, `certmanager`, `vault`, `acmpca`. Listed in `ca/index.ts`. */
export interface CaBackendKind {
  readonly type: string;
  /** Of the issuer as it is known; a Mesh may say otherwise. Absent: 32 signings in flight. */
  readonly limits?: CaLimits;
  /** A Mesh that brings in such a backend is refused when its rehearsal fails (decision 0025). */
  readonly rehearsedOnWrite?: boolean;
  /** It signs in this process: it is asked at full speed at once, since there is nobody to be careful with. */
  readonly local?: boolean;
  /** Every violation of `conf`; `path` is `mtls.backends[i].conf`. May read secrets and files. */
  validate(config: BackendConfig, path: string, deps: CaDependencies): Promise<readonly Violation[]>;
  /** Names of the mesh Secrets this backend stands on: they can't be deleted while it is listed. */
  usedSecrets(config: BackendConfig): readonly string[];
  /** Makes what must exist before the first leaf (builtin: CA certificate and key). Safe to call again and from several replicas. */
  ensure?(config: BackendConfig, deps: CaDependencies): Promise<void>;
  /** Absent: the CA is somebody else's. */
  readonly renewal?: CaRenewal;
  open(config: BackendConfig, deps: CaDependencies): CaBackend;
  /**
   * What a probe leaf does not show and only this kind can ask for: rights, options of a role, the state of the CA. Part of a rehearsal, before the probe
   * leaf is signed. `path` is `mtls.backends[i].conf`. May ask the issuer; changes nothing there. Throws `CaError` when it can't find out.
   */
  rehearse?(
    config: BackendConfig,
    path: string,
    deps: CaDependencies,
    signal: AbortSignal,
  ): Promise<readonly RehearsalFinding[]>;
  /** What so many leaves mean with this issuer, one sentence a line: certificates per month, the time to replace all of them. Pure. */
  usage?(config: BackendConfig, use: ExpectedUse): readonly string[];
}
