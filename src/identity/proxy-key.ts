/** Keys that are made where the proxy is: only a CSR comes here, and only the certificate goes back (docs/decisions/0024-keys-beside-the-proxy.md). */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { type CsrNames, inspectCsr } from '../x509/csr.ts';
import type { DesiredIdentity } from './identity.ts';

/** What a launcher is asked for. */
export interface WantedCsr {
  /** '': with a new key; else the one it must be made with. */
  readonly keyId: string;
  readonly keyType: DesiredIdentity['keyType'];
  readonly uriSans: readonly string[];
  readonly names: CsrNames;
}

/** The launcher of one connected proxy. */
export interface KeyHolder {
  /** True when it has this key. */
  holds(keyId: string): boolean;
  /** It has this one from now on. */
  made(keyId: string): void;
  /** DER of a CSR. Rejects with `ProxyKeyError`. */
  request(wanted: WantedCsr): Promise<Buffer>;
}

/** A leaf could not be issued because of its proxy: that tells nothing of the CA. `away`: it left before it answered. */
export class ProxyKeyError extends Error {
  readonly code: 'away' | 'refused';
  constructor(code: ProxyKeyError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ProxyKeyError';
    this.code = code;
  }
}

/** A public key that a leaf is asked for, with a CSR as proof that the launcher has the private one. */
export interface RequestedKey {
  readonly keyId: string;
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** DER of a CSR by this key with the wanted URIs, and these names. Rejects with `ProxyKeyError`. */
  csr(names?: CsrNames): Promise<Buffer>;
}

/** SHA-256 of a SubjectPublicKeyInfo, lower-case hex. */
export function keyIdOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex');
}

/**
 * A new key of the proxy. `isUsed`: whether a leaf has this key, of this proxy or another one. Rejects with `ProxyKeyError`: nothing of what a launcher says is
 * believed, and the names come from `desired` alone.
 */
export async function requestProxyKey(
  holder: KeyHolder,
  { keyType, uriSans }: Pick<DesiredIdentity, 'keyType' | 'uriSans'>,
  isUsed: (keyId: string) => boolean,
): Promise<RequestedKey> {
  const first = await holder.request({ keyId: '', keyType, uriSans, names: {} });
  const publicKey = await checkCsr(first, { keyType, uriSans, names: {} });
  const keyId = keyIdOf(publicKey);
  if (isUsed(keyId)) throw refused('its key was used before; a certificate is for a new key');
  holder.made(keyId);
  return {
    keyId,
    publicKey,
    async csr(names = {}) {
      if (names.commonName === undefined && (names.dnsNames ?? []).length === 0) return first;
      const other = await holder.request({ keyId, keyType, uriSans, names });
      const its = await checkCsr(other, { keyType, uriSans, names });
      if (!its.equals(publicKey)) throw refused('it is for another key than the one before');
      return other;
    },
  };
}

/** A CSR with hundreds of names is a fraction of this. */
const MAX_BYTES = 48 * 1024;
const SUBJECT_ALT_NAME = '2.5.29.17';

/** SubjectPublicKeyInfo (DER) of a CSR that is exactly what was asked for. Throws `ProxyKeyError` `refused`. */
async function checkCsr(der: Buffer, wanted: Omit<WantedCsr, 'keyId'>): Promise<Buffer> {
  if (der.length > MAX_BYTES) throw refused(`it is larger than ${MAX_BYTES} bytes`);
  const csr = await inspectCsr(der).catch((cause: unknown) => {
    throw refused('it cannot be read', cause);
  });
  const problem = keyProblem(csr.publicKey, wanted.keyType);
  if (problem !== undefined) throw refused(problem);
  if (!csr.valid) throw refused('its signature is not that of its key');
  const { commonName, dnsNames = [] } = wanted.names;
  const names = [...wanted.uriSans, ...dnsNames.map((name) => `dns:${name}`)];
  const sameNames = csr.uriSans.length === names.length && csr.uriSans.every((name, index) => name === names[index]);
  if (!sameNames || csr.commonName !== commonName)
    throw refused('the names in it are not those that this proxy was asked for');
  if (csr.extensions.length !== 1 || csr.extensions[0] !== SUBJECT_ALT_NAME)
    throw refused('it asks for more than names');
  return csr.publicKey;
}

function keyProblem(publicKey: Buffer, wanted: WantedCsr['keyType']): string | undefined {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch {
    return 'its key cannot be read';
  }
  const { namedCurve, modulusLength, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const fits =
    wanted === 'ec-p256'
      ? key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1'
      : // Small exponents are legal and nobody's choice: NIST SP 800-89, 5.3.3.
        key.asymmetricKeyType === 'rsa' && modulusLength === 2048 && publicExponent >= 65_537n;
  return fits ? undefined : `its key is not the ${wanted} that was asked for`;
}

function refused(why: string, cause?: unknown): ProxyKeyError {
  return new ProxyKeyError('refused', `the certificate request of its launcher was refused: ${why}`, { cause });
}
