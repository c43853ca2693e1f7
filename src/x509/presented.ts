import type { X509Certificate } from 'node:crypto';
import {
  type CertificateFacts,
  CLIENT_AUTH,
  inspectCertificate,
  KEY_USAGE,
  readNode,
  SERVER_AUTH,
} from './certificate.ts';
import { issued, parseCertificates } from './chain.ts';
import { spiffeIdProblem } from './spiffe-id.ts';

/** What is looked at in a chain that somebody presents. */
export type PresentedCheckName = 'chain' | 'dates' | 'names' | 'key usage' | 'signature';

export interface PresentedCheck {
  readonly name: PresentedCheckName;
  readonly ok: boolean;
  /** What was found, one line. */
  readonly message: string;
}

export interface PresentedExpectation {
  /** PEM of what is trusted. */
  readonly bundlePem: string;
  /** The mesh: trust domain of every SPIFFE ID. */
  readonly trustDomain: string;
  /** Exactly these URI SANs, in any order; absent: at least one SPIFFE ID. */
  readonly uriSans?: readonly string[];
  /** Epoch ms. */
  readonly now: number;
}

/**
 * Every check of a leaf with its result, for people who look for what is wrong; `verifyLeaf` is what decides before a leaf is used. Whoever presented
 * it is taken to have the key. Throws `X509Error` for what is no chain at all.
 */
export async function inspectPresented(
  chainPem: string,
  expected: PresentedExpectation,
): Promise<readonly PresentedCheck[]> {
  const chain = parseCertificates(chainPem).map(readNode);
  const anchors = parseCertificates(expected.bundlePem).map(readNode);
  const path = findPath(chain, anchors);
  const facts = await inspectCertificate(chain[0]!.raw);
  const issuers = await Promise.all(path.issuers.map(({ raw }) => inspectCertificate(raw)));
  return [
    checkChain(path, issuers),
    checkDates([chain[0]!, ...path.issuers], expected.now),
    checkNames(facts, expected),
    checkUsage(facts),
    checkSignatures([facts, ...issuers.slice(0, -1)]),
  ];
}

interface Path {
  /** From the leaf's issuer to the anchor; without an anchor as far as it goes. */
  readonly issuers: readonly X509Certificate[];
  readonly problem: string | undefined;
}

function findPath(chain: readonly X509Certificate[], anchors: readonly X509Certificate[]): Path {
  for (const [index, certificate] of chain.entries()) {
    const anchor = anchors.find((one) => issued(one, certificate));
    if (anchor !== undefined) return { issuers: [...chain.slice(1, index + 1), anchor], problem: undefined };
    const next = chain[index + 1];
    if (next === undefined) break;
    if (!issued(next, certificate)) {
      const problem = `certificate ${index + 2} did not sign certificate ${index + 1}`;
      return { issuers: chain.slice(1, index + 1), problem };
    }
  }
  return { issuers: chain.slice(1), problem: `it does not end in one of the ${anchors.length} CAs that are trusted` };
}

const result = (name: PresentedCheckName, problem: string | undefined, good: string): PresentedCheck => ({
  name,
  ok: problem === undefined,
  message: problem ?? good,
});

function checkChain({ problem, issuers }: Path, facts: readonly CertificateFacts[]): PresentedCheck {
  const noCa = facts.find(
    ({ isCa, keyUsage }) => !isCa || (keyUsage !== undefined && (keyUsage & KEY_USAGE.keyCertSign) === 0),
  );
  const wrong = noCa && `the issuer ${noCa.subjectText || 'without a name'} may not sign certificates`;
  const anchor = facts.at(-1)?.subjectText ?? '';
  return result('chain', problem ?? wrong, `ends in ${anchor || 'a trusted CA'}, ${issuers.length} above the leaf`);
}

function checkDates(certificates: readonly X509Certificate[], now: number): PresentedCheck {
  const problems = certificates.flatMap((certificate, index) => {
    const which = index === 0 ? 'the leaf' : `issuer ${index}`;
    const { validFromDate, validToDate } = certificate;
    if (now < validFromDate.getTime()) return [`${which} is valid only from ${validFromDate.toISOString()}`];
    if (now >= validToDate.getTime()) return [`${which} expired at ${validToDate.toISOString()}`];
    const issuer = certificates[index + 1];
    return issuer !== undefined && validToDate > issuer.validToDate ? [`${which} ends after its issuer`] : [];
  });
  const first = Math.min(...certificates.map(({ validToDate }) => validToDate.getTime()));
  return result('dates', problems.join('; ') || undefined, `all are valid until ${new Date(first).toISOString()}`);
}

function checkNames(facts: CertificateFacts, { trustDomain, uriSans }: PresentedExpectation): PresentedCheck {
  const ids = facts.uriSans.filter((uri) => uri.startsWith('spiffe://'));
  const bad = ids.find((id) => spiffeIdProblem(id) !== undefined);
  const foreign = ids.find((id) => !id.startsWith(`spiffe://${trustDomain}/`));
  const missing = (uriSans ?? []).filter((uri) => !facts.uriSans.includes(uri));
  const extra = uriSans === undefined ? [] : facts.uriSans.filter((uri) => !uriSans.includes(uri));
  const problems = [
    ids.length === 0 && 'it has no SPIFFE ID',
    bad !== undefined && `${bad} is no SPIFFE ID: ${spiffeIdProblem(bad)}`,
    foreign !== undefined && `${foreign} is not of mesh ${trustDomain}`,
    missing.length > 0 && `it has not ${missing.join(', ')}`,
    extra.length > 0 && `it has ${extra.join(', ')}, which the Dataplane does not`,
  ].filter((problem) => problem !== false);
  return result('names', problems.join('; ') || undefined, ids.join(', '));
}

function checkUsage(facts: CertificateFacts): PresentedCheck {
  const usage = facts.keyUsage ?? KEY_USAGE.digitalSignature;
  const purposes = facts.extendedKeyUsage ?? [];
  const problems = [
    (facts.isCa || (usage & KEY_USAGE.keyCertSign) !== 0) && 'it may sign certificates itself',
    (usage & KEY_USAGE.digitalSignature) === 0 && 'key usage has no digitalSignature',
    !purposes.includes(SERVER_AUTH) && 'extended key usage has no serverAuth',
    !purposes.includes(CLIENT_AUTH) && 'extended key usage has no clientAuth',
    facts.unknownCritical.length > 0 && `unknown critical extension ${facts.unknownCritical[0]}`,
  ].filter((problem) => problem !== false);
  return result('key usage', problems.join('; ') || undefined, 'signs, as server and as client');
}

const STRONG = new Set(['SHA-256', 'SHA-384', 'SHA-512']);

/** The anchor's own signature says nothing. */
function checkSignatures(certificates: readonly CertificateFacts[]): PresentedCheck {
  const hashes = [...new Set(certificates.map(({ signatureHash }) => signatureHash || 'an unknown algorithm'))];
  const weak = hashes.find((hash) => !STRONG.has(hash));
  return result('signature', weak && `signed with ${weak}, SHA-256 is the least`, hashes.join(', '));
}
