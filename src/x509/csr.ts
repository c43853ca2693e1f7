import { sign, webcrypto } from 'node:crypto';
import type { KeyPair } from './key.ts';
import { loadPeculiar } from './load-peculiar.ts';
import { buildRequest, requestBody } from './request-template.ts';

/** Names of a request besides its URIs. */
export interface CsrNames {
  /** Absent: the subject is empty. */
  readonly commonName?: string;
  readonly dnsNames?: readonly string[];
}

/**
 * DER of a PKCS#10 request: one SAN extension with exactly `uriSans`, then `dnsNames`, in order; critical when the subject is empty
 * (RFC 5280, 4.2.1.6). No key usage and no basic constraints: signers that compare them with what they were asked beside the request would refuse. Signed by
 * the key with SHA-256.
 */
export async function createCsr(keys: KeyPair, uriSans: readonly string[], extra: CsrNames = {}): Promise<Buffer> {
  const body = requestBody({
    publicKey: keys.publicKey,
    uriSans,
    dnsNames: extra.dnsNames ?? [],
    commonName: extra.commonName ?? '',
  });
  const { privateKey } = keys;
  const type = privateKey.asymmetricKeyType === 'ec' ? 'ec-p256' : 'rsa-2048';
  return buildRequest(body, type, sign('sha256', body, privateKey));
}

/** What is in a request, and whether its signature is its own key's. Throws on bytes that are no PKCS#10. */
export async function inspectCsr(
  der: Uint8Array,
): Promise<{ uriSans: string[]; subject: string; publicKey: Buffer; extensions: string[]; valid: boolean }> {
  const library = await loadPeculiar();
  const request = new library.Pkcs10CertificateRequest(Buffer.from(der));
  const names = request.extensions.find((e) => e instanceof library.SubjectAlternativeNameExtension)?.names.items ?? [];
  return {
    uriSans: names.map(({ type, value }) => (type === 'url' ? value : `${type}:${value}`)),
    subject: request.subject,
    extensions: request.extensions.map(({ type }) => type),
    publicKey: Buffer.from(request.publicKey.rawData),
    valid: await request.verify(webcrypto),
  };
}
