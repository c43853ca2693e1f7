import { createHash } from 'node:crypto';
import { parseCertificates } from './chain.ts';

/** SHA-256 of each certificate in `pem`, lower-case hex, in order. Throws `X509Error` as `parseCertificates`. */
export function fingerprintsOf(pem: string): readonly string[] {
  return parseCertificates(pem).map((der) => createHash('sha256').update(der).digest('hex'));
}
