import type { CaFailure } from './error.ts';

/**
 * Version of this interface, `major.minor`. Weft takes plug-ins of its own major version and of no newer minor one. A minor version only adds what may be left out;
 * whatever would break a plug-in that exists is a new major version.
 */
export const PROTOCOL = '1.0';

/** JSON Schema (draft 2020-12, no `$ref` to elsewhere, no `if`) of an object. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** One violation of `conf`; all of them are shown to whoever applies the Mesh. */
export interface ConfViolation {
  /** Inside `conf`, such as `profiles[0].name`; '' is `conf` itself. */
  readonly field: string;
  /** Lower case, no full stop: `must not be empty`. */
  readonly message: string;
}

/** One backend of one Mesh. */
export interface BackendContext {
  readonly mesh: string;
  /** `mtls.backends[].name` */
  readonly backend: string;
  /** Lines of Weft's own log. Long ones are cut, and when there are too many some are left out. Never pass a secret. */
  readonly log: Readonly<Record<'debug' | 'info' | 'warn' | 'error', (message: string) => void>>;
}

/** What proxies trust for this backend. */
export interface TrustAnchors {
  /** PEM certificates: the root, or intermediates where there is no root. The same text each time while the CA is the same. */
  readonly pem: string;
  /** Ask again after so many ms; absent: when the Mesh or a used Secret changes, and after a `changed` notice. */
  readonly refreshAfterMs?: number;
}

/** One leaf to sign. The private key stays where it is. */
export interface SignRequest {
  /** PKCS#10 in PEM: an empty subject, and a SAN extension with exactly `uriSans`. */
  readonly csrPem: string;
  /** URI SANs that the leaf must have, all and in any order: `spiffe://<mesh>/<service>`, then `kuma://<tag>/<value>`. No other SAN may be in it. */
  readonly uriSans: readonly string[];
  /** Life asked for, in ms. The leaf may end sooner, never after its CA. */
  readonly lifetimeMs: number;
  /** How long Weft waits for the answer, in ms. `signal` aborts then. */
  readonly timeoutMs: number;
  /** Name of the Dataplane, for logs. */
  readonly proxy: string;
}

/** What the CA signed. */
export interface SignedChain {
  /** PEM: leaf first, then intermediates upward, no root. The leaf has the extended key usages serverAuth and clientAuth. */
  readonly chainPem: string;
  /** PEM of what the CA says with this answer that it shall be trusted by, where it says so; absent: what `trustAnchors` said. */
  readonly anchorsPem?: string;
}

/** What a backend notices by itself. */
export type Notice =
  /** Its CA is another one: `trustAnchors` is asked again, and whoever waits may try right now. */
  | { readonly kind: 'changed' }
  /** What is in the way at the moment; `undefined`: nothing any more. */
  | { readonly kind: 'problem'; readonly problem: CaFailure | undefined };

/** An open backend. It is asked several things at once. */
export interface OpenBackend {
  /** Throws `CaFailure`. */
  trustAnchors(signal: AbortSignal): Promise<TrustAnchors>;
  /** Throws `CaFailure`. Pass `signal` on to whatever waits. */
  sign(request: SignRequest, signal: AbortSignal): Promise<SignedChain>;
  /** Called once, right after `open`; call `listener` whenever there is something to say. */
  notices?(listener: (notice: Notice) => void): void;
  /** The Mesh does not list it any more, or Weft stops: two seconds are left. */
  close?(): Promise<void>;
}

/** A type of CA backend: the default export of the module that `weft.ca.plugins` names. */
export interface CaPlugin<Conf> {
  /** `PROTOCOL` of the SDK it was written with. */
  readonly protocol: string;
  /** As in `mtls.backends[].type`: lower-case letters, digits and `-`. */
  readonly type: string;
  /**
   * What `conf` may hold: write `additionalProperties: false`, so that a typo is refused. Fields made with `dataSource` are data sources in the Mesh and texts
   * here. A field with `format: 'uri'` is refused when it points to where a CA backend may not call (`weft.ca.allowedEndpoints`).
   */
  readonly confSchema: JsonSchema;
  /** What the issuer takes: signings at once (absent: 32), and started per second (absent: as many as it takes). */
  readonly limits?: { readonly concurrency?: number; readonly perSecond?: number };
  /** What the schema can't say. `conf` fits the schema. May ask the issuer; has 10 s. */
  validate?(conf: Conf, context: BackendContext): Promise<readonly ConfViolation[]>;
  /** Quick and without waiting for the issuer: what can fail belongs into `trustAnchors` and `sign`. */
  open(conf: Conf, context: BackendContext): OpenBackend | Promise<OpenBackend>;
}

/** Completes a plug-in with the version of this SDK. */
export function defineCaPlugin<Conf>(plugin: Omit<CaPlugin<Conf>, 'protocol'>): CaPlugin<Conf> {
  return { protocol: PROTOCOL, ...plugin };
}

/** Keyword that marks a field of `confSchema` as a data source. */
export const DATA_SOURCE = 'x-weft-data-source';

/**
 * Schema of a field that a Mesh gives as a data source (`secret`, `file`, `inline` or `inlineString`), for certificates, keys and tokens. Weft reads it, under its own
 * rules, and the plug-in gets the text (UTF-8). The only way to a secret of a mesh.
 */
export function dataSource(description: string): JsonSchema {
  return { type: 'string', minLength: 1, [DATA_SOURCE]: true, description };
}
