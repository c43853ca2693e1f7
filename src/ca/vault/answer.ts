/** Questions to `sign` and `issue`, and their answers. Source: Vault API, "PKI secrets engine". */
import type { X509Certificate } from 'node:crypto';
import { readNode } from '../../x509/certificate.ts';
import { arrangeChain, formatCertificates, issued, parseCertificates, pathUpward } from '../../x509/chain.ts';
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

/** The CA certificates of an answer, read once: nearly every answer has the same. */
interface Signers {
  readonly text: string;
  readonly nodes: readonly X509Certificate[];
  /** By fingerprint of the one that signs leaves: what is sent after a leaf, and what is to be trusted. */
  readonly paths: Map<string, { readonly sent: string; readonly top: string }>;
}

/** Reads the answers of one role; remembers the CAs of the last one. */
export function createAnswerReader(subject: Subject) {
  let last: Signers | undefined;

  function signersOf(cas: readonly string[]): Signers {
    const text = cas.join('\n');
    if (last?.text !== text) {
      const nodes = parseCertificates(text, CHAIN_LIMITS).map(readNode);
      last = { text, nodes, paths: new Map() };
    }
    return last;
  }

  /** The usual answer: one certificate for the key that was asked for, signed by one of the CAs beside it; `undefined`: it is not like that. */
  function usualChain(certificate: string, { nodes, paths }: Signers, publicKey: Uint8Array) {
    const [der, ...more] = parseCertificates(certificate, CHAIN_LIMITS);
    if (der === undefined || more.length > 0) return undefined;
    const leaf = readNode(der);
    const named = nodes.filter((node) => leaf.checkIssued(node));
    // Whether it signed the leaf, and what is in it, is for the checks of a leaf to find out.
    const signer = named[0];
    if (signer === undefined || named.some((node) => !node.raw.equals(signer.raw))) return undefined;
    if (!der.includes(Buffer.from(publicKey))) return undefined;
    let path = paths.get(signer.fingerprint256);
    if (path === undefined) {
      const upward = pathUpward(signer, nodes);
      path = { sent: formatCertificates(withoutRoot(upward)), top: formatCertificates([upward.at(-1)!.raw]) };
      paths.set(signer.fingerprint256, path);
    }
    return { pem: formatCertificates([leaf.raw]) + path.sent, anchorsPem: path.top };
  }

  /**
   * The answer put in order for whoever checks it: leaf first, each certificate once (Vault since 1.11 repeats the leaf in `ca_chain`), and what to trust:
   * the root, or the highest CA where the mount does not know its root. `publicKey` of the request; with `issue` that of the key in the answer.
   * Throws `CaError` `invalid-answer`; never with any of the content.
   */
  return (data: Readonly<Record<string, unknown>>, request: Pick<SigningRequest, 'publicKey'> | undefined): Chain => {
    const { certificate, private_key: key, issuing_ca: issuer, ca_chain: above } = data;
    if (typeof certificate !== 'string' || certificate.trim() === '') throw unusable(subject, 'no certificate');
    const cas = [...(Array.isArray(above) ? above : [above]), issuer]
      .filter((one) => typeof one === 'string')
      .map((one: string) => one.trim())
      .filter((one, index, all) => one !== '' && one !== certificate.trim() && all.indexOf(one) === index);
    if (cas.length === 0) throw unusable(subject, 'a certificate without the CA that signed it (issuing_ca, ca_chain)');
    try {
      const keys = request === undefined ? parsePrivateKey(typeof key === 'string' ? key : '') : undefined;
      const publicKey = keys?.publicKey ?? request!.publicKey;
      const signers = signersOf(cas);
      const chain = usualChain(certificate, signers, publicKey) ?? anyChain(certificate, signers, publicKey);
      return { ...chain, ...(keys !== undefined && { privateKeyPem: String(key) }) };
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'it cannot be read';
      throw unusable(subject, `a certificate or key that cannot be used (${reason})`);
    }
  };
}

/** What there is, in order as far as it has one, for the checks to judge. */
function anyChain(certificate: string, { text, nodes }: Signers, publicKey: Uint8Array) {
  const arranged = arrangeChain(`${certificate}\n${text}`, publicKey, CHAIN_LIMITS);
  const path = parseCertificates(arranged).map(readNode);
  const top = path.length > 1 ? path.slice(-1) : nodes;
  return {
    pem: formatCertificates([path[0]!.raw, ...withoutRoot(path.slice(1))]),
    anchorsPem: formatCertificates(top.map(({ raw }) => raw)),
  };
}

/** The root is what is trusted, so nobody sends it. */
function withoutRoot(path: readonly X509Certificate[]): Buffer[] {
  return path.filter((node) => !issued(node, node)).map(({ raw }) => raw);
}
