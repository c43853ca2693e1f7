/** Mesh, as in Kuma 2.11-2.14 (`Mesh.mtls` kept). Types first; schema and validation follow in this file. */

/** Exactly one is set. */
export interface DataSource {
  readonly secret?: string;
  readonly file?: string;
  /** base64 */
  readonly inline?: string;
  readonly inlineString?: string;
}

export interface MtlsBackend {
  readonly name: string;
  readonly type: string;
  readonly mode?: 'STRICT' | 'PERMISSIVE';
  readonly dpCert?: { readonly rotation?: { readonly expiration?: string }; readonly requestTimeout?: string };
  readonly rootChain?: { readonly requestTimeout?: string };
  readonly conf?: Readonly<Record<string, unknown>>;
}

export interface MeshMtls {
  readonly enabledBackend?: string;
  readonly backends?: readonly MtlsBackend[];
  readonly skipValidation?: boolean;
}

export interface MeshSpec {
  readonly mtls?: MeshMtls;
  readonly networking?: { readonly outbound?: { readonly passthrough?: boolean } };
  readonly routing?: { readonly localityAwareLoadBalancing?: boolean; readonly zoneEgress?: boolean; readonly defaultForbidMeshExternalServiceAccess?: boolean };
  readonly constraints?: { readonly dataplaneProxy?: { readonly requirements?: readonly TagRule[]; readonly restrictions?: readonly TagRule[] } };
  readonly meshServices?: { readonly mode?: 'Disabled' | 'Everywhere' | 'ReachableBackends' | 'Exclusive' };
  readonly skipCreatingInitialPolicies?: readonly string[];
  readonly logging?: unknown;
  readonly tracing?: unknown;
  readonly metrics?: unknown;
}

export interface TagRule {
  readonly tags?: Readonly<Record<string, string>>;
}
