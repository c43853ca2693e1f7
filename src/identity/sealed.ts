import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { HeldLeaf, ProxyKey } from './identity.ts';

/** A held leaf as it may be stored. */
export interface LeafRecord {
  readonly proxy: ProxyKey;
  /** base64 of nonce, tag and ciphertext. */
  readonly sealed: string;
  /** Which key sealed it. */
  readonly keyId?: string | undefined;
  /** RFC 3339; after it the record is worthless. */
  readonly notAfter?: string | undefined;
}

/** Where sealed leaves are kept; `control-plane/` makes one from the store. */
export interface LeafRecords {
  load(): Promise<readonly LeafRecord[]>;
  /** Replaces the records of these proxies, all or none. */
  save(records: readonly LeafRecord[]): Promise<void>;
  /** A proxy without a record is no error. */
  remove(proxies: readonly ProxyKey[]): Promise<void>;
  /**
   * For stores that several control planes share: calls `changed` for each record that anybody writes, until `signal` aborts. A proxy that comes over
   * from another control plane then keeps the leaf it has. Absent: nobody else writes.
   */
  watch?(changed: (record: LeafRecord) => void, signal: AbortSignal): Promise<void>;
}

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Sealer {
  seal(proxy: ProxyKey, leaf: HeldLeaf): LeafRecord;
  /** `undefined` when the record is of another key, of another proxy, or was touched. */
  open(record: LeafRecord): HeldLeaf | undefined;
  /** The private key (PEM) of a request that is under way, for `openKey` after a restart. */
  sealKey(proxy: ProxyKey, keyPem: string): string;
  /** As `open`. */
  openKey(proxy: ProxyKey, sealed: string): string | undefined;
}

/** AES-256-GCM; the proxy's name is authenticated too, so that a record can't be moved to another proxy. `key` is 32 bytes. Decision 0003. */
export function createSealer(key: Buffer): Sealer {
  const keyId = createHash('sha256').update('weft leaf sealing key id').update(key).digest('hex').slice(0, 16);
  const leafOf = ({ mesh, name }: ProxyKey) => Buffer.from(JSON.stringify([mesh, name]));
  const pendingKeyOf = ({ mesh, name }: ProxyKey) => Buffer.from(JSON.stringify([mesh, name, 'pending key']));

  function close(text: string, boundTo: Buffer): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(boundTo);
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
  }

  function open(sealed: string, boundTo: Buffer): string | undefined {
    const bytes = Buffer.from(sealed, 'base64');
    if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
    try {
      const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
        .setAAD(boundTo)
        .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
      return text.toString('utf8');
    } catch {
      return undefined;
    }
  }

  return {
    seal: (proxy, leaf) => ({
      proxy,
      sealed: close(JSON.stringify(leaf), leafOf(proxy)),
      keyId,
      notAfter: new Date(leaf.notAfter).toISOString(),
    }),
    open(record) {
      if (record.keyId !== undefined && record.keyId !== keyId) return undefined;
      const text = open(record.sealed, leafOf(record.proxy));
      return text === undefined ? undefined : Object.freeze(JSON.parse(text) as HeldLeaf);
    },
    sealKey: (proxy, keyPem) => close(keyPem, pendingKeyOf(proxy)),
    openKey: (proxy, sealed) => open(sealed, pendingKeyOf(proxy)),
  };
}
