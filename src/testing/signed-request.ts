import { sign } from 'node:crypto';
import type { SignedRequest, WantedCsr } from '../identity/proxy-key.ts';
import type { KeyPair } from '../x509/key.ts';
import { requestBody } from '../x509/request-template.ts';

/** What a launcher with this key answers when a CSR is wanted. */
export function signedRequest(
  { privateKey, publicKey }: KeyPair,
  { uriSans, names: { commonName = '', dnsNames = [] } }: Pick<WantedCsr, 'uriSans' | 'names'>,
): SignedRequest {
  return {
    publicKey,
    signature: sign('sha256', requestBody({ publicKey, uriSans, dnsNames, commonName }), privateKey),
  };
}
