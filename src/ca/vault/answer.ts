/** Questions to `sign` and `issue`, and their answers. Pure. Source: Vault API, "PKI secrets engine". */
import { readNode } from '../../x509/certificate.ts';
import { arrangeChain, formatCertificates, issued, parseCertificates } from '../../x509/chain.ts';
import { parsePrivateKey } from '../../x509/key.ts';
import { toPem } from '../../x509/pem.ts';
import { CHAIN_LIMITS } from '../../x509/verify.ts';
import type { Chain, SigningRequest } from '../backend.ts';
import { type Subject, unusable } from './problem.ts';

export interface LeafOrder {
  readonly uriSans: readonly string[];
  readonly commonName: string | undefined;
  /** Ms. */
  readonly lifetimeMs: number;
}

/** Body for `sign`: the URIs are in the CSR and beside it, since a role may look at either. */
export function signBody(order: LeafOrder, csr: Uint8Array): object {
  return { ...issueBody(order), csr: toPem('CERTIFICATE REQUEST', Buffer.from(csr)), private_key_format: undefined };
}

/** Body for `issue`, where Vault makes the key. */
export function issueBody({ uriSans, commonName, lifetimeMs }: LeafOrder): object {
  return {
    uri_sans: uriSans,
    ttl: `${Math.max(1, Math.floor(lifetimeMs / 1000))}s`,
    exclude_cn_from_sans: true,
    format: 'pem',
    private_key_format: 'pkcs8',
    ...(commonName !== undefined && { common_name: commonName }),
  };
}

/**
 * The answer put in order for whoever checks it: leaf first, each certificate once (Vault since 1.11 repeats the leaf in `ca_chain`), and what to trust:
 * the root, or the highest CA where the mount does not know its root. `publicKey` of the request; with `issue` that of the key in the answer.
 * Throws `CaError` `invalid-answer`; never with any of the content.
 */
export function chainOf(
  subject: Subject,
  data: Readonly<Record<string, unknown>>,
  request: Pick<SigningRequest, 'publicKey'> | undefined,
): Chain {
  const { certificate, private_key: key, issuing_ca: issuer, ca_chain: above } = data;
  if (typeof certificate !== 'string' || certificate.trim() === '') throw unusable(subject, 'no certificate');
  const cas = [...(Array.isArray(above) ? above : [above]), issuer].filter(
    (one): one is string => typeof one === 'string' && one.trim() !== '' && one.trim() !== certificate.trim(),
  );
  if (cas.length === 0) throw unusable(subject, 'a certificate without the CA that signed it (issuing_ca, ca_chain)');
  const all = [...new Set([certificate, ...cas].map((pem) => pem.trim()))].join('\n');
  try {
    const keys = request === undefined ? parsePrivateKey(typeof key === 'string' ? key : '') : undefined;
    const arranged = arrangeChain(all, keys?.publicKey ?? request!.publicKey, CHAIN_LIMITS);
    const path = parseCertificates(arranged).map(readNode);
    const top = path.length > 1 ? path.slice(-1) : parseCertificates(cas.join('\n'), CHAIN_LIMITS).map(readNode);
    // The root is what is trusted, so nobody sends it.
    const sent = path.filter((node, index) => index === 0 || !issued(node, node));
    return {
      pem: formatCertificates(sent.map(({ raw }) => raw)),
      anchorsPem: formatCertificates(top.map(({ raw }) => raw)),
      ...(keys !== undefined && { privateKeyPem: String(key) }),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'it cannot be read';
    throw unusable(subject, `a certificate or key that cannot be used (${reason})`);
  }
}
