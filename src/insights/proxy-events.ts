import type { ProxyKey } from '../identity/identity.ts';

/** What a proxy said of itself when its stream opened. */
export interface ProxyVersions {
  readonly kumaDp?: Readonly<Record<string, string | boolean>>;
  readonly envoy?: Readonly<Record<string, string | boolean>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** A response that an Envoy refused and that has not been replaced by one it took. */
export interface Rejection {
  /** Type URL. */
  readonly type: string;
  /** Names in the refused response. */
  readonly names: readonly string[];
  /** Envoy's own text, cut to 1000 characters. */
  readonly message: string;
}

/** What a proxy has said yes to of its certificates. */
export interface AcknowledgedSecrets {
  /** Names of the backends it trusts. */
  readonly backends: readonly string[];
  /** SHA-256 of each CA it trusts, lower-case hex. */
  readonly roots: readonly string[];
  /** `undefined`: none yet. */
  readonly leaf:
    | {
        readonly serial: string;
        readonly backend: string;
        /** SHA-256 of the CA it chains to, lower-case hex; `undefined`: not known. */
        readonly root: string | undefined;
        /** Epoch ms. */
        readonly notAfter: number;
      }
    | undefined;
}

/** Facts about running proxies, told by `push/` as they happen, kept by `insights/`. All calls are cheap and never throw. */
export interface ProxyEvents {
  connected(proxy: ProxyKey, streamId: string, versions: ProxyVersions): void;
  /** A response of this type went out. */
  sent(proxy: ProxyKey, streamId: string, typeUrl: string): void;
  acked(proxy: ProxyKey, streamId: string, typeUrl: string): void;
  nacked(proxy: ProxyKey, streamId: string, typeUrl: string): void;
  /** It trusts and presents this from now on. */
  secretsAcknowledged(proxy: ProxyKey, streamId: string, secrets: AcknowledgedSecrets): void;
  /** What this proxy refuses at the moment; empty when it took everything it should have. */
  rejections(proxy: ProxyKey, streamId: string, rejections: readonly Rejection[]): void;
  /** The last attempt to generate this proxy's configuration: a message when it failed, `undefined` when it went well. */
  generated(proxy: ProxyKey, failure: string | undefined): void;
  disconnected(proxy: ProxyKey, streamId: string): void;
  /** Its certificate, or what is known of it, changed. */
  identityChanged(proxy: ProxyKey): void;
}
