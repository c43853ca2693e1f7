/**
 * What `auth/` needs of the stored secrets; `control-plane/` makes one from the store.
 * `mesh` is '' for a GlobalSecret. Values are the decoded bytes.
 */
export interface SecretReader {
  /** `undefined`: no such secret. */
  readSecret(mesh: string, name: string): Promise<Uint8Array | undefined>;
  /** Names of the secrets whose name starts with `prefix`, in any order. */
  listSecretNames(mesh: string, prefix: string): Promise<readonly string[]>;
}

/** Writing side, for keys and the admin token made at first start. */
export interface SecretCreator extends SecretReader {
  /** `false`: there is one already, nothing was written. */
  createSecret(mesh: string, name: string, value: Uint8Array): Promise<boolean>;
}
