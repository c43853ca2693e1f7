import { X509Certificate } from 'node:crypto';
import { isJsonObject } from '../../resources/plain-json.ts';
import { parsePrivateKey } from '../../x509/key.ts';
import { parsePem, toPem } from '../../x509/pem.ts';
import type { TlsPair } from '../../x509/tls-pair.ts';
import type { KubeObject } from '../api/object.ts';
import { bundleOf, type HeldCertificates } from './certificate-plan.ts';

export const CERTIFICATE_SECRET = 'weft-webhook-tls';

/** A v1 Secret: values in base64. */
export interface SecretObject extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

/**
 * The certificates as a `kubernetes.io/tls` Secret: `tls.crt` and `tls.key` are shown, `ca.crt` is what to trust, `signing.*` and `next.*` are CAs.
 * `version` is the resource version it replaces; absent for a new one.
 */
export function certificateSecret(held: HeldCertificates, namespace: string, version?: string): SecretObject {
  const text = {
    'tls.crt': held.serving.certPem,
    'tls.key': held.serving.keyPem,
    'ca.crt': bundleOf(held),
    'signing.crt': held.ca.certPem,
    'signing.key': held.ca.keyPem,
    ...(held.nextCa === undefined ? {} : { 'next.crt': held.nextCa.certPem, 'next.key': held.nextCa.keyPem }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: CERTIFICATE_SECRET,
      namespace,
      ...(version === undefined ? {} : { resourceVersion: version }),
      labels: { 'app.kubernetes.io/managed-by': 'weft-control-plane' },
    },
    type: 'kubernetes.io/tls',
    data: Object.fromEntries(
      Object.entries(text).map(([key, value]) => [key, Buffer.from(value, 'utf8').toString('base64')]),
    ),
  };
}

/** `undefined` when anything in it is not what `certificateSecret` wrote. */
export function parseCertificateSecret(secret: SecretObject): HeldCertificates | undefined {
  try {
    const data = isJsonObject(secret.data) ? secret.data : {};
    const pair = (name: string): TlsPair | undefined => {
      const [certPem, keyPem] = [text(data[`${name}.crt`]), text(data[`${name}.key`])];
      return certPem === undefined || keyPem === undefined ? undefined : checked({ certPem, keyPem });
    };
    const [ca, serving, nextCa, bundle] = [pair('signing'), pair('tls'), pair('next'), text(data['ca.crt'])];
    if (ca === undefined || serving === undefined || bundle === undefined) return undefined;
    const oldCas = parsePem(bundle)
      .map(({ der }) => toPem('CERTIFICATE', new X509Certificate(der).raw))
      .filter((pem) => pem !== ca.certPem && pem !== nextCa?.certPem);
    return { ca, serving, oldCas, ...(nextCa === undefined ? {} : { nextCa }) };
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : undefined;
}

/** Throws when key and certificate do not belong together. */
function checked(pair: TlsPair): TlsPair {
  if (!new X509Certificate(pair.certPem).checkPrivateKey(parsePrivateKey(pair.keyPem).privateKey))
    throw new Error('the key is not the certificate’s');
  return pair;
}
