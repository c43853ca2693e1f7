import { createPublicKey, type X509Certificate } from 'node:crypto';
import {
  type CertificateFacts,
  CLIENT_AUTH,
  inspectCertificate,
  KEY_USAGE,
  readNode,
  SERVER_AUTH,
} from './certificate.ts';
import { formatCertificates, issued, parseCertificates } from './chain.ts';
import { X509Error } from './error.ts';
import { type KeyPair, unsupported } from './key.ts';
import { createKnownCas, type KnownCas } from './known-cas.ts';
import { createLeafTemplate, type LeafTemplate } from './leaf.ts';
import { toPem } from './pem.ts';
import { spiffeIdProblem } from './spiffe-id.ts';

/** Why a chain is refused. */
export type RefusalCode =
  | 'too-large'
  | 'no-certificate'
  | 'malformed'
  | 'duplicate'
  | 'wrong-order'
  | 'key-mismatch'
  | 'san-mismatch'
  | 'not-yet-valid'
  | 'expired'
  | 'is-ca'
  | 'key-usage'
  | 'extended-key-usage'
  | 'weak-signature'
  | 'critical-extension'
  | 'issuer-not-ca'
  | 'issuer-expired'
  | 'path-length'
  | 'outlives-issuer'
  | 'untrusted';

/** The anchors of one CA, read once. */
export interface TrustStore {
  readonly anchors: readonly Anchor[];
  readonly known: KnownCas;
}

interface Anchor {
  readonly facts: CertificateFacts;
  readonly pem: string;
  /** Recognises leaves made by our own template; `undefined` for keys the template cannot sign with. */
  readonly template: LeafTemplate | undefined;
}

/** Reads a PEM bundle. Throws `not-found`, `too-large`, `malformed`. */
export async function createTrustStore(pem: string): Promise<TrustStore> {
  const anchors: Anchor[] = [];
  for (const der of parseCertificates(pem)) {
    const facts = await inspectCertificate(der);
    const { subject, keyId } = facts;
    const key = facts.node.publicKey;
    anchors.push({
      facts,
      pem: toPem('CERTIFICATE', der),
      template: unsupported(key) ? undefined : createLeafTemplate({ subject, keyId, key }),
    });
  }
  return { anchors, known: createKnownCas() };
}

/** What an answer of a CA must be. */
export interface LeafExpectation {
  /** The key that was made for it; its private part may be elsewhere. */
  readonly keys: Pick<KeyPair, 'publicKey'>;
  /** Exactly these, in any order, and no other SAN but `dnsNames`. */
  readonly uriSans: readonly string[];
  /** DNS names that were asked for besides; absent: none. */
  readonly dnsNames?: readonly string[];
  readonly trust: TrustStore;
  /** Epoch ms. */
  readonly now: number;
}

/** A leaf that passed every check. */
export interface VerifiedLeaf {
  /** PEM, leaf first, intermediates upward, self-signed roots left out. */
  readonly chainPem: string;
  /** Lower-case hex, no separators. */
  readonly serial: string;
  /** RFC 4514. */
  readonly issuer: string;
  /** PEM of the trust anchor the chain ends in. */
  readonly anchorPem: string;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export type Verdict =
  | { readonly ok: true; readonly leaf: VerifiedLeaf }
  | { readonly ok: false; readonly code: RefusalCode; readonly message: string };

/** A leaf with a few intermediates is some kilobytes; more than this is no answer of a CA. */
export const CHAIN_LIMITS = { maxBytes: 64 * 1024, maxBlocks: 10 };

class Refusal extends Error {
  readonly code: RefusalCode;
  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Checks what a CA answered, before it may be held (reliability F5). Partial chains are fine: any anchor ends the path, root or not.
 * Name constraints are not evaluated here; Envoy does.
 */
export async function verifyLeaf(chainPem: string, expected: LeafExpectation): Promise<Verdict> {
  try {
    return { ok: true, leaf: await check(chainPem, expected) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, code: error.code, message: error.message };
    if (error instanceof X509Error)
      return { ok: false, code: READ_ERRORS[error.code] ?? 'malformed', message: error.message };
    throw error;
  }
}

const READ_ERRORS: Readonly<Record<string, RefusalCode>> = { 'too-large': 'too-large', 'not-found': 'no-certificate' };

async function check(chainPem: string, expected: LeafExpectation): Promise<VerifiedLeaf> {
  const chain = parseCertificates(chainPem, CHAIN_LIMITS).map(readNode);
  const leaf = chain[0]!;
  checkOrder(chain, expected.trust.known);
  if (!leaf.publicKey.equals(createPublicKey({ key: expected.keys.publicKey, format: 'der', type: 'spki' }))) {
    throw new Refusal('key-mismatch', 'the certificate is for another key than the one asked for');
  }
  checkDates(leaf, expected.now);
  const path = findPath(chain, expected.trust);
  const issuerText = (await checkContent(leaf, path, expected)) ?? path.anchor.facts.subjectText;
  await checkIssuers(leaf, path, expected);
  const sent = chain.filter((certificate) => !issued(certificate, certificate));
  return {
    chainPem: formatCertificates(sent.map(({ raw }) => raw)),
    serial: leaf.serialNumber.toLowerCase(),
    issuer: issuerText,
    anchorPem: path.anchor.pem,
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
  };
}

function checkOrder(chain: readonly X509Certificate[], known: KnownCas): void {
  const seen = new Set(chain.map(({ fingerprint256 }) => fingerprint256));
  if (seen.size !== chain.length) throw new Refusal('duplicate', 'a certificate is in the chain twice');
  for (const [index, certificate] of chain.entries()) {
    const next = chain[index + 1];
    if (next && !known.issued(next, certificate)) {
      throw new Refusal('wrong-order', `certificate ${index + 2} of the chain did not sign the one before it`);
    }
  }
}

/** An issuer elsewhere that puts NotBefore at its own "now" (cert-manager does) may have a clock that is so much ahead. */
const CLOCK_TOLERANCE_MS = 2000;

function checkDates(leaf: X509Certificate, now: number): void {
  if (now + CLOCK_TOLERANCE_MS < leaf.validFromDate.getTime()) {
    throw new Refusal('not-yet-valid', `not valid before ${leaf.validFromDate.toISOString()}`);
  }
  if (now >= leaf.validToDate.getTime()) {
    throw new Refusal('expired', `expired at ${leaf.validToDate.toISOString()}`);
  }
}

/** From the leaf's issuers in the chain, nearest first, to the anchor that ends the path. */
interface Path {
  readonly intermediates: readonly X509Certificate[];
  readonly anchor: Anchor;
}

function findPath(chain: readonly X509Certificate[], trust: TrustStore): Path {
  for (const [index, certificate] of chain.entries()) {
    const anchor = trust.anchors.find(({ facts }) => trust.known.issued(facts.node, certificate));
    if (anchor) return { intermediates: chain.slice(1, index + 1), anchor };
  }
  throw new Refusal('untrusted', 'the chain does not end in a trust anchor of this backend');
}

/** Checks everything that is inside the leaf. Answers its issuer's name, or `undefined` when that is the anchor's. */
async function checkContent(leaf: X509Certificate, path: Path, expected: LeafExpectation): Promise<string | undefined> {
  const plain = path.intermediates.length === 0 && (expected.dnsNames ?? []).length === 0;
  if (plain && isOurTemplate(leaf, path.anchor, expected)) return undefined;
  const facts = await inspectCertificate(leaf.raw);
  checkSans(facts, expected);
  if (facts.isCa || ((facts.keyUsage ?? 0) & KEY_USAGE.keyCertSign) !== 0) {
    throw new Refusal('is-ca', 'the leaf may sign certificates itself');
  }
  if (facts.keyUsage !== undefined && (facts.keyUsage & KEY_USAGE.digitalSignature) === 0) {
    throw new Refusal('key-usage', 'key usage has no digitalSignature');
  }
  const purposes = facts.extendedKeyUsage ?? [];
  if (!purposes.includes(SERVER_AUTH) || !purposes.includes(CLIENT_AUTH)) {
    throw new Refusal('extended-key-usage', 'extended key usage must have serverAuth and clientAuth');
  }
  checkForm(facts);
  return facts.issuerText;
}

/** The quick way: the certificate is, byte for byte, what our template makes of the expected content. */
function isOurTemplate(leaf: X509Certificate, anchor: Anchor, expected: LeafExpectation): boolean {
  const fields = {
    serial: Buffer.from(
      leaf.serialNumber.padStart(leaf.serialNumber.length + (leaf.serialNumber.length % 2), '0'),
      'hex',
    ),
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
    publicKey: expected.keys.publicKey,
    uriSans: expected.uriSans,
  };
  return anchor.template?.matches(leaf.raw, fields) === true && expected.uriSans.every(isUriIdentity);
}

function isUriIdentity(uri: string): boolean {
  return uri.startsWith('spiffe://') ? spiffeIdProblem(uri) === undefined : /^kuma:\/\/[!-~]+$/.test(uri);
}

function checkSans(facts: CertificateFacts, { uriSans, dnsNames = [] }: LeafExpectation): void {
  const wanted = [...uriSans, ...dnsNames.map((name) => `DNS:${name}`)];
  const found = [...facts.uriSans, ...facts.dnsSans.map((name) => `DNS:${name}`)];
  const extra = found.filter((name) => !wanted.includes(name)).length + facts.otherSans;
  const missing = wanted.filter((name) => !found.includes(name)).length;
  if (extra === 0 && missing === 0 && found.length === wanted.length) return;
  throw new Refusal(
    'san-mismatch',
    `the names in the certificate are not those asked for (${missing} missing, ${extra} extra, ${wanted.length} asked for)`,
  );
}

function checkForm(facts: CertificateFacts): void {
  if (!STRONG_HASHES.has(facts.signatureHash)) {
    throw new Refusal(
      'weak-signature',
      `signed with ${facts.signatureHash || 'an unknown algorithm'}, SHA-256 is the least`,
    );
  }
  if (facts.unknownCritical.length > 0) {
    throw new Refusal('critical-extension', `unknown critical extension ${facts.unknownCritical[0]}`);
  }
}

const STRONG_HASHES = new Set(['SHA-256', 'SHA-384', 'SHA-512']);

/** Checks every CA of the path: intermediates as strictly as the leaf, the anchor except for its own signature. */
async function checkIssuers(leaf: X509Certificate, path: Path, { trust, now }: LeafExpectation): Promise<void> {
  const intermediates = await Promise.all(path.intermediates.map((node) => trust.known.inspect(node)));
  for (const facts of intermediates) checkForm(facts);
  for (const [below, facts] of [...intermediates, path.anchor.facts].entries()) {
    const { node } = facts;
    const name = facts.subjectText || 'without a name';
    if (!facts.isCa || (facts.keyUsage !== undefined && (facts.keyUsage & KEY_USAGE.keyCertSign) === 0)) {
      throw new Refusal('issuer-not-ca', `the issuer ${name} is not allowed to sign certificates`);
    }
    if (now < node.validFromDate.getTime() || now >= node.validToDate.getTime()) {
      throw new Refusal('issuer-expired', `the issuer ${name} is valid only until ${node.validToDate.toISOString()}`);
    }
    if (facts.pathLength !== undefined && below > facts.pathLength) {
      throw new Refusal(
        'path-length',
        `the issuer ${name} allows ${facts.pathLength} CAs below it, there are ${below}`,
      );
    }
    if (leaf.validToDate > node.validToDate) {
      throw new Refusal(
        'outlives-issuer',
        `the leaf ends after its issuer ${name} (${node.validToDate.toISOString()})`,
      );
    }
  }
}
