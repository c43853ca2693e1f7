import { createPrivateKey, X509Certificate } from 'node:crypto';
import { fieldsOf, textOf, valuesAt } from './messages.ts';

/** What an SDS secret holds. Source: envoy/extensions/transport_sockets/tls/v3/{secret,common}.proto. */
export interface SecretContent {
  /** PEM, leaf first. */
  readonly chain: string;
  readonly key: string;
  /** PEM of the trust bundle. */
  readonly trusted: string;
}

export function readSecret(value: Uint8Array): SecretContent {
  const inline = (path: readonly number[]) => {
    const [source] = valuesAt(value, path);
    if (!source) return '';
    const fields = fieldsOf(source);
    return textOf(fields.get(2)?.[0] ?? fields.get(3)?.[0]);
  };
  return { chain: inline([2, 1]), key: inline([2, 2]), trusted: inline([4, 1]) };
}

const anchors = new Map<string, X509Certificate[]>();

function anchorsOf(pem: string): X509Certificate[] {
  let known = anchors.get(pem);
  if (!known) {
    known = (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
      (each) => new X509Certificate(each),
    );
    if (anchors.size > 100) anchors.clear();
    anchors.set(pem, known);
  }
  return known;
}

/** Serial of the leaf when it is signed by an anchor of the bundle, fits its key and is valid now; else `undefined`. */
export function verifiedSerial(secret: SecretContent, trusted: string): string | undefined {
  const leaf = new X509Certificate(secret.chain);
  const now = Date.now();
  if (Date.parse(leaf.validTo) < now || Date.parse(leaf.validFrom) > now) return undefined;
  if (!leaf.checkPrivateKey(createPrivateKey(secret.key))) return undefined;
  return anchorsOf(trusted).some((anchor) => leaf.checkIssued(anchor) && leaf.verify(anchor.publicKey))
    ? leaf.serialNumber
    : undefined;
}
