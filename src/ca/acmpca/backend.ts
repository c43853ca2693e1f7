/**
 * `acmpca`, a Kong Mesh backend: AWS Private CA signs the leaves (kuma-compat 1.3). A certificate is asked for (IssueCertificate, paid) and fetched
 * (GetCertificate, free): an order is kept between the two, so that no failure and no crash pays twice (decision 0021).
 *
 * ```
 * sign ── look at the CA (once an hour, free) ── order kept ── IssueCertificate ── ARN kept ── GetCertificate until it is there ── chain
 * resume ────────────── a kept order ──────────────┴───────────────────────────────────┘
 * ```
 */
import { backoffMs } from '../../lib/backoff.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { sleep } from '../../lib/wait.ts';
import type { Violation } from '../../resources/resource.ts';
import { readNode } from '../../x509/certificate.ts';
import { arrangeChain, formatCertificates, issued as isIssued, parseCertificates } from '../../x509/chain.ts';
import { inspectCsr } from '../../x509/csr.ts';
import { CHAIN_LIMITS } from '../../x509/verify.ts';
import {
  type BackendConfig,
  type CaBackend,
  type CaBackendKind,
  type CaDependencies,
  CaError,
  type Chain,
  type SigningRequest,
} from '../backend.ts';
import { caCertViolations } from '../ca-certificate.ts';
import { renderNames } from '../leaf-names.ts';
import { createAcmPcaApi } from './api.ts';
import { type IssuedPem, joinPem } from './authority.ts';
import { type AcmPcaConf, readAcmPcaConf, secretsOf } from './conf.ts';
import { credentialSource, loadCredential } from './credentials.ts';
import { type KnownAuthority, lookAtAuthority } from './known-authority.ts';
import { lifetimeFindings } from './lifetime-findings.ts';
import type { Order } from './order.ts';
import { createOrders, type KeptOrder } from './orders.ts';
import { authorityEnds, callProblem, isFinal, isThrottling, pendingProblem, type Subject } from './problem.ts';
import { createTurns } from './turns.ts';
import { usageLines } from './usage.ts';
import { validityFor } from './validity.ts';

/** Source: quotas of AWS Private CA in most regions: 25 IssueCertificate and 75 GetCertificate a second. */
const ISSUES_PER_SECOND = 25;
const FETCHES_PER_ISSUE = 3;
/** So many at once keep 25 a second busy when a certificate takes two and a half seconds. */
const CONCURRENCY = 64;

export const acmPcaCa: CaBackendKind = {
  type: 'acmpca',
  limits: { concurrency: CONCURRENCY, perSecond: ISSUES_PER_SECOND },
  rehearsedOnWrite: true,

  async validate(config, path, deps) {
    const violations: Violation[] = [];
    const conf = readAcmPcaConf(config.conf, path, violations, deps.egress);
    if (conf === undefined) return violations;
    for (const name of ['accessKey', 'accessKeySecret'] as const) {
      if (conf.credentials === undefined) break;
      const [, problem] = await loadCredential(config.mesh, conf.credentials[name], deps);
      if (problem !== undefined) violations.push({ field: `${path}.auth.awsCredentials.${name}`, message: problem });
    }
    if (conf.caCert !== undefined) {
      violations.push(...(await caCertViolations(config, conf.caCert, `${path}.caCert`, deps)));
    }
    return violations;
  },

  usedSecrets: ({ conf }) => secretsOf(conf),

  open(config, deps) {
    const violations: Violation[] = [];
    const conf = readAcmPcaConf(config.conf, 'conf', violations, deps.egress);
    if (conf !== undefined) return openBackend(config, conf, deps, systemClock, Math.random);
    const { field, message } = violations[0]!;
    const where = `open acmpca backend "${config.name}" of mesh "${config.mesh}"`;
    const error = new CaError('not-configured', `${where}: ${field} ${message}`);
    return { trustAnchors: () => Promise.reject(error), sign: () => Promise.reject(error) };
  },

  async rehearse(config, path, deps, signal) {
    const conf = readAcmPcaConf(config.conf, 'conf', [], deps.egress);
    if (conf === undefined) return [];
    const { client, ...connection } = connect(config, conf, deps);
    try {
      return lifetimeFindings(await lookAtAuthority({ ...connection, signal }), config, path, deps.now());
    } finally {
      await client.close();
    }
  },

  usage: (_config, use) => usageLines(use),
};

/** What is known of the CA is asked again after this time: it may have been renewed. */
const LOOK_AGAIN_MS = 3_600_000;
const LOOK_TIMEOUT_MS = 20_000;
/** Between two questions whether a certificate is there. */
const POLL = { baseMs: 100, maxMs: 2000, jitter: 0.3 };

/** What it takes to ask AWS. */
function connect(config: BackendConfig, conf: AcmPcaConf, deps: CaDependencies) {
  const subject: Subject = { mesh: config.mesh, backend: config.name, arn: conf.arn };
  const client = deps.egress.createClient({ connections: CONCURRENCY });
  const credentials = credentialSource(conf, config, deps);
  const api = createAcmPcaApi({ arn: conf.arn, endpoint: conf.endpoint, client, credentials, now: deps.now });
  return { api, subject, client, conf, config, deps };
}

function openBackend(
  config: BackendConfig,
  conf: AcmPcaConf,
  deps: CaDependencies,
  clock: Clock,
  random: () => number,
): CaBackend {
  const { client, ...connection } = connect(config, conf, deps);
  const { api, subject } = connection;
  const fetching = createTurns({ perSecond: fetchesPerSecond, clock, random });
  const orders = createOrders({ config, records: deps.pending, clock });
  const closing = new AbortController();
  /** Of `clock.monotonic`, in order: orders of the last second. */
  const placed: number[] = [];
  let known: { readonly at: number; readonly authority: KnownAuthority } | undefined;
  let looking: Promise<KnownAuthority> | undefined;

  /** As AWS has it by default; more where the Mesh says that more may be asked for, since AWS raises both. */
  function fetchesPerSecond(): number {
    while (placed[0] !== undefined && placed[0] < clock.monotonic() - 1000) placed.shift();
    return FETCHES_PER_ISSUE * Math.max(ISSUES_PER_SECOND, placed.length);
  }

  /** Asks AWS about the CA, once for all who want to know at the moment. */
  function look(): Promise<KnownAuthority> {
    looking ??= lookAtAuthority({
      ...connection,
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(LOOK_TIMEOUT_MS)]),
    })
      .then((authority) => {
        known = { at: clock.monotonic(), authority };
        return authority;
      })
      .catch((error: unknown) => {
        known = undefined;
        throw error;
      })
      .finally(() => {
        looking = undefined;
      });
    return looking;
  }

  async function authority(signal: AbortSignal): Promise<KnownAuthority> {
    refuseAborted(signal);
    if (known !== undefined && clock.monotonic() - known.at < LOOK_AGAIN_MS) return known.authority;
    return unlessAborted(look(), signal);
  }

  async function orderFor(request: SigningRequest, signal: AbortSignal): Promise<KeptOrder> {
    const { anchors, signingAlgorithm, shortLived } = await authority(signal);
    const now = deps.now();
    const { lifetimeMs, uriSans } = request;
    const validity = validityFor({ now, lifetimeMs, caNotAfter: anchors.notAfter, shortLived });
    if (validity.notAfter * 1000 <= now) throw authorityEnds(subject, anchors.notAfter);
    const { commonName } = commonNameFor(uriSans);
    const csr = await request.csr(commonName === undefined ? {} : { commonName });
    const order: Order = {
      csr: Buffer.from(csr).toString('base64'),
      signingAlgorithm,
      ...validity,
      uriSans: [...uriSans],
      commonName,
      caArn: conf.arn.text,
      askedAt: now,
    };
    return { order, sealedKey: request.sealedKey?.() };
  }

  const commonNameFor = (uriSans: readonly string[]) => renderNames({ commonName: conf.commonName }, uriSans, subject);

  /** From a kept order to a chain, wherever it stands. */
  async function complete(proxy: string, kept: KeptOrder, publicKey: Uint8Array, ended: AbortSignal): Promise<Chain> {
    const signal = AbortSignal.any([ended, closing.signal]);
    orders.put(proxy, kept);
    let { order } = kept;
    try {
      if (order.certificateArn === undefined) {
        const certificateArn = await place(order, signal);
        order = { ...order, certificateArn };
        orders.put(proxy, { ...kept, order });
      }
      const issued = await collect(order, signal);
      orders.finished(proxy);
      return chainOf(issued, publicKey);
    } catch (error) {
      if (error instanceof CaError && isFinal(error, order)) orders.drop(proxy);
      // The CA may be another one by now, or none: that is looked at before anything is paid for.
      if (error instanceof CaError && error.code === 'not-configured') known = undefined;
      if (closing.signal.aborted) throw closed();
      throw error;
    }
  }

  /** Throttling is told at once: the caller slows down for all, and comes again for this order. */
  async function place(order: Order, signal: AbortSignal): Promise<string> {
    try {
      const certificateArn = await api.issue(order, signal);
      placed.push(clock.monotonic());
      return certificateArn;
    } catch (error) {
      throw callProblem(subject, error, 'issue a certificate');
    }
  }

  async function collect(order: Order, signal: AbortSignal): Promise<IssuedPem> {
    const started = clock.monotonic();
    for (let tries = 1; ; tries += 1) {
      const issued = await fetchOnce(order.certificateArn!, signal);
      if (issued !== undefined) return issued;
      await sleep(clock, backoffMs(tries, { ...POLL, random: random() }), signal);
      if (signal.aborted) throw pendingProblem(subject, order, clock.monotonic() - started);
    }
  }

  /** In turns with the others, however often AWS says that there are too many; at the deadline that is the reason. */
  async function fetchOnce(certificateArn: string, signal: AbortSignal): Promise<IssuedPem | undefined> {
    let refusal: unknown = new CaError('timeout', 'no turn came in time');
    for (;;) {
      await fetching.take(signal);
      if (signal.aborted) throw callProblem(subject, refusal, 'fetch the certificate');
      try {
        const answer = await api.certificate(certificateArn, signal);
        fetching.answered();
        return answer;
      } catch (error) {
        if (!isThrottling(error)) throw callProblem(subject, error, 'fetch the certificate');
        fetching.throttled();
        refusal = error;
      }
    }
  }

  /** The answer, put in order for whoever checks it. */
  function chainOf(issued: IssuedPem, publicKey: Uint8Array): Chain {
    let certificates: readonly Buffer[];
    try {
      certificates = parseCertificates(arrangeChain(joinPem(issued), publicKey, CHAIN_LIMITS));
    } catch (cause) {
      const problem = new CaError('invalid-answer', 'what came cannot be used as one', { cause });
      throw callProblem(subject, problem, 'read the certificate');
    }
    const [, ...signers] = certificates;
    const [signer, top] = [signers[0], signers.at(-1)];
    // Another CA certificate than before: looked at before the next one is asked for.
    if (signer !== undefined && known?.authority.certificate.equals(signer) !== true) known = undefined;
    const pem = formatCertificates(certificates.filter((der) => der !== top || !isSelfSigned(der)));
    return conf.caCert !== undefined || top === undefined ? { pem } : { pem, anchorsPem: formatCertificates([top]) };
  }

  const closed = () => new CaError('unavailable', `backend "${config.name}" of mesh ${config.mesh} was closed`);

  return {
    async trustAnchors(signal) {
      refuseAborted(signal);
      return (await unlessAborted(look(), signal)).anchors;
    },
    async sign(request, signal) {
      const kept = await orderFor(request, signal);
      return complete(request.proxy, kept, request.publicKey, signal);
    },
    async resume(proxy, uriSans) {
      const kept = await orders.find(proxy);
      if (kept === undefined) return undefined;
      const { order, sealedKey } = kept;
      const same =
        order.caArn === conf.arn.text &&
        order.commonName === commonNameFor(uriSans).commonName &&
        order.uriSans.join('\n') === uriSans.join('\n');
      if (!same) {
        orders.drop(proxy);
        return undefined;
      }
      const { publicKey } = await inspectCsr(Buffer.from(order.csr, 'base64'));
      return { sealedKey, publicKey, finish: (signal) => complete(proxy, kept, publicKey, signal) };
    },
    async close() {
      closing.abort();
      orders.close();
      await client.close();
    },
  };
}

function isSelfSigned(der: Buffer): boolean {
  const node = readNode(der);
  return isIssued(node, node);
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new CaError('timeout', 'the call was cancelled before it began');
}

/** `promise`, or a `CaError` when `signal` aborts first. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new CaError('timeout', 'AWS did not say in time what the CA is'));
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
