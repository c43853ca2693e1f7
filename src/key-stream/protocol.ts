/**
 * What a launcher that makes its proxy's key and the control plane tell each other (docs/decisions/0024-keys-beside-the-proxy.md): one JSON object a line,
 * both ways, on one connection to the port for proxies. Private keys are in none of them. No imports: the launcher loads this too.
 *
 * ```
 * launcher                                    control plane
 * GET /proxy-keys, Upgrade: weft-keys   ──>   token, Dataplane: who is it?
 * hello: keys it has                    ──>   has it the key of the leaf that is held for it?
 *            <── request-wanted               its turn in the queue of the CA backend
 * request: public key, signature        ──>   CSR put together and checked, signed, leaf verified
 *            <── leaf                         when the proxy trusts what signed it
 * accepted or refused                   ──>   what Envoy said to it
 * ```
 */

/** Path and protocol of the request that opens the stream. */
export const PROXY_KEYS_PATH = '/proxy-keys';
export const PROXY_KEYS_PROTOCOL = 'weft-keys';
/** Header of that request, `<mesh>.<name>`; `authorization` has the data plane token. */
export const PROXY_HEADER = 'weft-proxy';

/** No line is longer; a chain with ten intermediates fits, and a CSR with hundreds of names. */
export const MAX_LINE_BYTES = 128 * 1024;

/** `key`s are SHA-256 of the SubjectPublicKeyInfo, lower-case hex. */
export type LauncherMessage =
  /** The first one: the keys it has. */
  | { readonly type: 'hello'; readonly keys: readonly string[] }
  /**
   * Answers `request-wanted` with what of the CSR is not known on the other side: SubjectPublicKeyInfo, and the signature over the body of the request, both base64.
   * The CSR is the one that `x509/request-template.ts` makes of them.
   */
  | { readonly type: 'request'; readonly id: number; readonly publicKey: string; readonly signature: string }
  /** Answers `request-wanted` too: there is none. */
  | { readonly type: 'request-failed'; readonly id: number; readonly message: string }
  /** Envoy presents this leaf from now on. */
  | { readonly type: 'accepted'; readonly serial: string }
  /** This leaf did not pass the launcher's checks, or Envoy's; the one before is still in use. */
  | { readonly type: 'refused'; readonly serial: string; readonly message: string }
  /** Is anybody there? Answered with `pong`. */
  | { readonly type: 'ping' };

export type ControlPlaneMessage =
  /** Make a CSR with exactly these names: with a new key, or, unless it is '', with the one that `key` names. */
  | {
      readonly type: 'request-wanted';
      readonly id: number;
      readonly key: string;
      readonly keyType: 'ec-p256' | 'rsa-2048';
      readonly uriSans: readonly string[];
      readonly dnsNames: readonly string[];
      /** '': none. */
      readonly commonName: string;
    }
  /** Present this from now on. PEM, leaf first; `anchorPem` is what its chain ends in. */
  | {
      readonly type: 'leaf';
      readonly key: string;
      readonly serial: string;
      readonly chainPem: string;
      readonly anchorPem: string;
    }
  | { readonly type: 'pong' };
