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
}

/** AES-256-GCM; the proxy's name is authenticated too, so that a record can't be moved to another proxy. `key` is 32 bytes. Decision 0003. */
export function createSealer(key: Buffer): Sealer {
  const keyId = createHash('sha256').update('weft leaf sealing key id').update(key).digest('hex').slice(0, 16);
  const boundTo = (proxy: ProxyKey) => Buffer.from(JSON.stringify([proxy.mesh, proxy.name]));
  return {
    seal(proxy, leaf) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(boundTo(proxy));
      const text = Buffer.concat([cipher.update(JSON.stringify(leaf), 'utf8'), cipher.final()]);
      return {
        proxy,
        sealed: Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64'),
        keyId,
        notAfter: new Date(leaf.notAfter).toISOString(),
      };
    },
    open(record) {
      if (record.keyId !== undefined && record.keyId !== keyId) return undefined;
      const bytes = Buffer.from(record.sealed, 'base64');
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
      try {
        const nonce = bytes.subarray(0, NONCE_BYTES);
        const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
          .setAAD(boundTo(record.proxy))
          .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
        const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
        return Object.freeze(JSON.parse(text.toString('utf8')) as HeldLeaf);
      } catch {
        return undefined;
      }
    },
  };
}
