/** Keys that are made where the proxy is: a public key and a signature come here, and the certificate goes back (docs/decisions/0024-keys-beside-the-proxy.md). */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { CsrNames } from '../x509/csr.ts';
import { buildRequest, requestBody } from '../x509/request-template.ts';
import type { DesiredIdentity } from './identity.ts';

/** What a launcher is asked for. */
export interface WantedCsr {
  /** '': with a new key; else the one it must be made with. */
  readonly keyId: string;
  readonly keyType: DesiredIdentity['keyType'];
  readonly uriSans: readonly string[];
  readonly names: CsrNames;
}

/** What of a CSR only the launcher can know. */
export interface SignedRequest {
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** Over `requestBody` of it and the wanted names. */
  readonly signature: Buffer;
}

/** The launcher of one connected proxy. */
export interface KeyHolder {
  /** True when it has this key. */
  holds(keyId: string): boolean;
  /** It has this one from now on. */
  made(keyId: string): void;
  /** Rejects with `ProxyKeyError`. */
  request(wanted: WantedCsr): Promise<SignedRequest>;
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
 * A new key of the proxy. `isUsed`: whether a leaf has this key, of this proxy or another one. The CSR is put together here, so its names and form are those
 * of `desired`, and its signature proves that the launcher has the key and knew what for. Rejects with `ProxyKeyError`.
 */
export async function requestProxyKey(
  holder: KeyHolder,
  { keyType, uriSans }: Pick<DesiredIdentity, 'keyType' | 'uriSans'>,
  isUsed: (keyId: string) => boolean,
): Promise<RequestedKey> {
  const ask = async (keyId: string, names: CsrNames) => {
    const wanted = { keyId, keyType, uriSans, names };
    return checkedRequest(await holder.request(wanted), wanted);
  };
  const first = await ask('', {});
  const keyId = keyIdOf(first.publicKey);
  if (isUsed(keyId)) throw refused('its key was used before; a certificate is for a new key');
  holder.made(keyId);
  return {
    keyId,
    publicKey: first.publicKey,
    async csr(names = {}) {
      if (names.commonName === undefined && (names.dnsNames ?? []).length === 0) return first.csr;
      const other = await ask(keyId, names);
      if (!other.publicKey.equals(first.publicKey)) throw refused('it is for another key than the one before');
      return other.csr;
    },
  };
}

/** The CSR that was asked for. Throws `ProxyKeyError` `refused`. */
function checkedRequest(
  { publicKey, signature }: SignedRequest,
  { keyType, uriSans, names }: WantedCsr,
): { readonly publicKey: Buffer; readonly csr: Buffer } {
  const key = readKey(publicKey, keyType);
  const body = requestBody({ publicKey, uriSans, dnsNames: names.dnsNames ?? [], commonName: names.commonName ?? '' });
  if (!verify('sha256', body, key, signature)) {
    throw refused('its signature is not that of its key over the names that this proxy was asked for');
  }
  return { publicKey, csr: buildRequest(body, keyType, signature) };
}

const P256_SPKI_BYTES = 91;

/** Throws `ProxyKeyError` `refused` unless it is a key of the wanted type, in the one form that it has. */
function readKey(publicKey: Buffer, wanted: WantedCsr['keyType']): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch (cause) {
    throw refused('its key cannot be read', cause);
  }
  const { namedCurve, modulusLength, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const fits =
    wanted === 'ec-p256'
      ? key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1'
      : // Small exponents are legal and nobody's choice: NIST SP 800-89, 5.3.3.
        key.asymmetricKeyType === 'rsa' && modulusLength === 2048 && publicExponent >= 65_537n;
  if (!fits) throw refused(`its key is not the ${wanted} that was asked for`);
  // The same key in another form, such as a compressed point, would pass for a new one.
  const usual = key.export({ format: 'der', type: 'spki' });
  if (!usual.equals(publicKey) || (wanted === 'ec-p256' && publicKey.length !== P256_SPKI_BYTES))
    throw refused('its key is not in its usual form');
  return key;
}

function refused(why: string, cause?: unknown): ProxyKeyError {
  return new ProxyKeyError('refused', `the certificate request of its launcher was refused: ${why}`, { cause });
}
