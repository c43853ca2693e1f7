/**
 * What every CA backend has to keep: Weft's own kinds and plug-ins alike. Runs anywhere; `contract.ts` makes tests of it for plug-ins, `src/testing/ca-contract.ts`
 * for the kinds in `src/ca`.
 */
import assert from 'node:assert/strict';
import { formatCertificates, parseCertificates } from '../../src/x509/chain.ts';
import { createCsr } from '../../src/x509/csr.ts';
import { generateEcKey, type KeyPair, parsePrivateKey } from '../../src/x509/key.ts';
import { createTrustStore, type VerifiedLeaf, verifyLeaf } from '../../src/x509/verify.ts';

/** A request as the control plane makes it. */
export interface ContractRequest {
  readonly keys: KeyPair;
  readonly uriSans: readonly string[];
  readonly lifetimeMs: number;
  /** DER of the PKCS#10 request, with these names besides the URIs. */
  csr(names?: { readonly commonName?: string; readonly dnsNames?: readonly string[] }): Promise<Uint8Array>;
}

/** An answer to it. */
export interface ContractAnswer {
  readonly chainPem: string;
  readonly anchorsPem?: string;
  /** DNS names that were asked for besides the URIs. */
  readonly dnsNames?: readonly string[];
  /** Only when the issuer made the key. */
  readonly privateKeyPem?: string;
}

/** One configured backend under test, whatever must exist for it in place. */
export interface ContractSubject {
  readonly mesh: string;
  readonly now: () => number;
  /** Opens it, from scratch each time. */
  open(): Promise<OpenSubject>;
}

export interface OpenSubject {
  /** `notAfter`: epoch ms; no leaf may outlive it. */
  trustAnchors(signal: AbortSignal): Promise<{ readonly pem: string; readonly notAfter: number }>;
  sign(request: ContractRequest, signal: AbortSignal): Promise<ContractAnswer>;
  /** Throws when `error` is not what a caller is told who was gone before the call. */
  checkCancelled(error: unknown): void;
  close(): Promise<void>;
}

export interface ContractCase {
  readonly title: string;
  run(subject: ContractSubject): Promise<void>;
}

/** How much less than asked a leaf may live, for what rounds: an issuer elsewhere counts from when it signs. */
const ROUNDING_MS = 5000;
const LATEST_END_MS = 60_000;
const THOUSAND_YEARS_MS = 1000 * 365 * 86_400_000;

/** Every case stands alone. */
export const CONTRACT_CASES: readonly ContractCase[] = [
  contractCase('signs a leaf that passes every check against its trust anchors', async (backend, subject) => {
    const request = createContractRequest(subject.mesh);
    const leaf = await verified(backend, request, subject);
    const life = leaf.notAfter - subject.now();
    assert.ok(
      life <= request.lifetimeMs,
      `the leaf lives ${life} ms from now, ${request.lifetimeMs} ms were asked for`,
    );
    assert.ok(life > request.lifetimeMs - ROUNDING_MS, `the leaf lives only ${life} ms of ${request.lifetimeMs} ms`);
    assert.ok(leaf.notBefore < subject.now(), 'the leaf has begun to be valid');
  }),

  contractCase('never lets a leaf outlive its CA', async (backend, subject) => {
    const { notAfter } = await backend.trustAnchors(signal());
    const leaf = await verified(backend, createContractRequest(subject.mesh, THOUSAND_YEARS_MS), subject);
    assert.ok(leaf.notAfter <= notAfter, 'the leaf ends no later than its CA');
    assert.ok(
      leaf.notAfter > notAfter - LATEST_END_MS,
      'a leaf that was asked for longer lives nearly as long as its CA',
    );
  }),

  contractCase('gives each leaf its own serial', async (backend, subject) => {
    const requests = Array.from({ length: 20 }, () => createContractRequest(subject.mesh));
    const answers = await Promise.all(requests.map((request) => backend.sign(request, signal())));
    const starts = answers.map(({ chainPem }) => parseCertificates(chainPem)[0]!.toString('hex').slice(0, 80));
    assert.equal(new Set(starts).size, 20);
  }),

  contractCase('answers the same trust anchors each time, certificates only', async (backend) => {
    const [first, second] = await Promise.all([backend.trustAnchors(signal()), backend.trustAnchors(signal())]);
    assert.deepEqual(second, first);
    assert.ok(parseCertificates(first.pem).length > 0);
    assert.ok(!first.pem.includes('PRIVATE KEY'), 'there is no key in the trust anchors');
  }),

  contractCase('does nothing for a cancelled caller', async (backend, subject) => {
    const outcome = backend.sign(createContractRequest(subject.mesh), AbortSignal.abort());
    const error = await outcome.then(
      () => assert.fail('sign answered a caller who was gone'),
      (reason: unknown) => reason,
    );
    backend.checkCancelled(error);
  }),

  contractCase('is the same CA when it is opened again', async (backend, subject) => {
    const again = await subject.open();
    try {
      assert.deepEqual(await again.trustAnchors(signal()), await backend.trustAnchors(signal()));
    } finally {
      await again.close();
    }
  }),
];

/** A request for `spiffe://<mesh>/web` with a key of its own. */
function createContractRequest(mesh: string, lifetimeMs = 3_600_000): ContractRequest {
  const keys = generateEcKey();
  const uriSans = [`spiffe://${mesh}/web`, 'kuma://kuma.io/protocol/http', 'kuma://kuma.io/service/web'];
  return { keys, uriSans, lifetimeMs, csr: (names) => createCsr(keys, uriSans, names) };
}

function contractCase(
  title: string,
  run: (backend: OpenSubject, subject: ContractSubject) => Promise<void>,
): ContractCase {
  return {
    title,
    async run(subject) {
      const backend = await subject.open();
      try {
        await run(backend, subject);
      } finally {
        await backend.close();
      }
    },
  };
}

function signal(): AbortSignal {
  return new AbortController().signal;
}

/** Has the request signed, and checks the answer as the control plane does. */
async function verified(
  backend: OpenSubject,
  request: ContractRequest,
  subject: ContractSubject,
): Promise<VerifiedLeaf> {
  const answer = await backend.sign(request, signal());
  const anchors = await backend.trustAnchors(signal());
  const verdict = await verifyLeaf(answer.chainPem, {
    keys: answer.privateKeyPem === undefined ? request.keys : parsePrivateKey(answer.privateKeyPem),
    uriSans: request.uriSans,
    ...(answer.dnsNames === undefined ? {} : { dnsNames: answer.dnsNames }),
    trust: await createTrustStore(anchors.pem),
    now: subject.now(),
  });
  if (!verdict.ok) assert.fail(`the answer was refused (${verdict.code}): ${verdict.message}`);
  const answered = formatCertificates(parseCertificates(answer.chainPem));
  assert.equal(
    answered,
    verdict.leaf.chainPem,
    'the chain holds what leads from the leaf to a trust anchor, and no root',
  );
  return verdict.leaf;
}
