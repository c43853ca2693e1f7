import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import { signingAlgorithm } from './certificate.ts';
import { loadPeculiar } from './load-peculiar.ts';

/** DER of a PKCS#10 request: empty subject, one critical SAN extension with exactly `uriSans` in order. Signed by `key`. */
export async function createCsr(key: KeyObject, uriSans: readonly string[]): Promise<Buffer> {
  const library = await loadPeculiar();
  const algorithm = signingAlgorithm(key);
  const names = uriSans.map((value) => ({ type: 'url' as const, value }));
  const request = await library.Pkcs10CertificateRequestGenerator.create(
    {
      name: '',
      keys: {
        privateKey: key.toCryptoKey(algorithm, false, ['sign']),
        publicKey: createPublicKey(key).toCryptoKey(algorithm, true, ['verify']),
      },
      signingAlgorithm: algorithm,
      extensions: [new library.SubjectAlternativeNameExtension(names, true)],
    },
    webcrypto,
  );
  return Buffer.from(request.rawData);
}

/** What is in a request, and whether its signature is its own key's. Throws on bytes that are no PKCS#10. */
export async function inspectCsr(der: Uint8Array): Promise<{ uriSans: string[]; publicKey: Buffer; valid: boolean }> {
  const library = await loadPeculiar();
  const request = new library.Pkcs10CertificateRequest(Buffer.from(der));
  const names = request.extensions.find((e) => e instanceof library.SubjectAlternativeNameExtension)?.names.items ?? [];
  return {
    uriSans: names.map(({ type, value }) => (type === 'url' ? value : `${type}:${value}`)),
    publicKey: Buffer.from(request.publicKey.rawData),
    valid: await request.verify(webcrypto),
  };
}
