/** `certmanager`, a Kong Mesh backend: cert-manager signs the leaves, through CertificateRequests in the system namespace (kuma-compat 1.3). */
import { KubeError } from '../../k8s/api/client.ts';
import type { OwnerReference } from '../../k8s/api/object.ts';
import type { Violation } from '../../resources/resource.ts';
import { readNode } from '../../x509/certificate.ts';
import { arrangeChain, formatCertificates, parseCertificates } from '../../x509/chain.ts';
import { inspectCsr } from '../../x509/csr.ts';
import { parsePem } from '../../x509/pem.ts';
import { CHAIN_LIMITS } from '../../x509/verify.ts';
import {
  type BackendConfig,
  type CaBackend,
  type CaBackendKind,
  type CaDependencies,
  CaError,
  type CaNotice,
  type Chain,
  type PendingRequest,
  type SigningRequest,
  type TrustAnchors,
} from '../backend.ts';
import { caCertViolations, loadCaCert } from '../ca-certificate.ts';
import { type RenderedNames, renderNames } from '../leaf-names.ts';
import { createLifeLimit } from '../life-limit.ts';
import { learnAnchors } from '../own-leaf.ts';
import { type CertManager, isOwnGroup } from './cert-manager.ts';
import { type CertManagerConf, caCertSecret, readCertManagerConf } from './conf.ts';
import { assessIssuer } from './issuer.ts';
import type { CertificateRequest } from './objects.ts';
import { callProblem, deleted, noCa, type Subject, verdictProblem } from './problem.ts';
import { buildRequest, isFor, type Order, sealedKeyOf } from './request.ts';
import type { Outcome, Progress } from './requests.ts';
import type { Verdict } from './verdict.ts';

export const certManagerCa: CaBackendKind = {
  type: 'certmanager',
  limits: { concurrency: 32 },

  async validate(config, path, deps) {
    if (deps.certManager === undefined) {
      return [{ field: path.replace(/conf$/, 'type'), message: OUTSIDE_KUBERNETES }];
    }
    const violations: Violation[] = [];
    const conf = readCertManagerConf(config.conf, path, violations);
    if (violations.length > 0 || conf.caCert === undefined) return violations;
    return caCertViolations(config, conf.caCert, `${path}.caCert`, deps);
  },

  usedSecrets({ conf }) {
    const secret = caCertSecret(conf);
    return secret === undefined ? [] : [secret];
  },

  open(config, deps) {
    const { certManager } = deps;
    if (certManager === undefined) return refusingBackend(new CaError('not-configured', OUTSIDE_KUBERNETES));
    const violations: Violation[] = [];
    const conf = readCertManagerConf(config.conf, 'conf', violations);
    const wrong = violations[0];
    if (wrong !== undefined) {
      const where = `open certmanager backend "${config.name}" of mesh "${config.mesh}"`;
      return refusingBackend(new CaError('not-configured', `${where}: ${wrong.field} ${wrong.message}`));
    }
    return openBackend(config, conf, deps, certManager);
  },
};

const OUTSIDE_KUBERNETES =
  'certmanager is only available on Kubernetes: it asks the cert-manager of the cluster the control plane runs in; use builtin or provided here';

function refusingBackend(error: CaError): CaBackend {
  return { trustAnchors: () => Promise.reject(error), sign: () => Promise.reject(error) };
}

function openBackend(
  config: BackendConfig,
  conf: CertManagerConf,
  deps: CaDependencies,
  manager: CertManager,
): CaBackend {
  const subject: Subject = {
    mesh: config.mesh,
    backend: config.name,
    issuerRef: conf.issuerRef,
    systemNamespace: manager.systemNamespace,
  };
  const life = createLifeLimit(deps.now);
  const closing = new AbortController();
  const listeners = new Set<(notice: CaNotice) => void>();
  /** What `caCert` says, once it was loaded. */
  let givenAnchors: TrustAnchors | undefined;
  const running = new Set<Promise<unknown>>();
  let owner: Promise<OwnerReference | undefined> | undefined;
  /** What the last request that goes on waits for. */
  let waitingFor: CaError | undefined;
  let toldProblem: CaError | undefined;
  let usable = usableIssuer();

  const unsubscribe = manager.subscribe(() => {
    const now = usableIssuer();
    // Seeing the issuer for the first time changes nothing.
    const isNews = now !== undefined && now !== usable && usable !== UNSEEN;
    usable = now;
    if (isNews) waitingFor = undefined;
    tell();
    if (isNews) notify({ kind: 'changed' });
  });

  function notify(notice: CaNotice): void {
    for (const listener of listeners) listener(notice);
  }

  function tell(): void {
    const problem = standingProblem() ?? waitingFor;
    if (problem?.reason === toldProblem?.reason && problem?.message === toldProblem?.message) return;
    toldProblem = problem;
    notify({ kind: 'problem', problem });
  }

  /** What is in the way before anything is asked. */
  function standingProblem(): CaError | undefined {
    const { problem } = manager.requests;
    if (problem !== undefined) return callProblem(subject, problem, 'list CertificateRequests', 'list');
    if (!isOwnGroup(conf.issuerRef)) return undefined;
    const other = conf.issuerRef.kind === 'Issuer' ? 'ClusterIssuer' : 'Issuer';
    return assessIssuer(subject, manager.issuers(conf.issuerRef.kind), manager.issuers(other));
  }

  /** Another text when the issuer is another one, or was changed; `undefined` while something is in the way. */
  function usableIssuer(): string | undefined {
    if (standingProblem() !== undefined) return undefined;
    const metadata = manager.issuers(conf.issuerRef.kind)?.get(conf.issuerRef.name)?.metadata;
    return metadata === undefined ? UNSEEN : `${metadata.uid}/${metadata.generation}`;
  }

  async function ready(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new CaError('timeout', 'the call was cancelled before it began');
    await unlessAborted(manager.settled(), signal);
    const problem = standingProblem();
    if (problem !== undefined) throw problem;
  }

  function orderFor(proxy: string, uriSans: readonly string[]): { order: Order; names: RenderedNames } {
    const names = renderNames(conf, uriSans, subject);
    return { order: { ...subject, proxy, uriSans, ...names }, names };
  }

  async function ask(request: SigningRequest, signal: AbortSignal): Promise<Chain> {
    const chain = await track(askOnce(request, signal));
    // cert-manager lets a leaf outlive its CA.
    return life.learn(chain, givenAnchors?.pem) ? track(askOnce(request, signal)) : chain;
  }

  /** `close` waits for it. */
  function track<T>(work: Promise<T>): Promise<T> {
    running.add(work);
    return work.finally(() => running.delete(work));
  }

  async function askOnce(request: SigningRequest, signal: AbortSignal): Promise<Chain> {
    const limited = AbortSignal.any([signal, closing.signal]);
    await ready(limited);
    const { order, names } = orderFor(request.proxy, request.uriSans);
    owner ??= manager.ownerOf(config.mesh);
    const { commonName, dnsNames } = names;
    const object = buildRequest({
      order,
      csr: await request.csr({ ...(commonName === undefined ? {} : { commonName }), dnsNames }),
      durationMs: life.limit(request.lifetimeMs),
      deadline: deps.now() + request.timeoutMs,
      sealedKey: request.sealedKey?.(),
      namespace: manager.systemNamespace,
      zone: manager.zone,
      instanceId: manager.instanceId,
      owner: await owner,
      random: manager.newId(),
    });
    const outcome = await run(object, limited, (progress) => manager.requests.issue(object, progress, limited));
    return chainOf(outcome, request.publicKey, names.dnsNames);
  }

  /** Waits for the end of a request; tells what it waits for; turns what goes wrong into a `CaError`. */
  async function run(
    object: CertificateRequest,
    signal: AbortSignal,
    begin: (progress: Progress) => Promise<Outcome>,
  ): Promise<Extract<Outcome, { kind: 'issued' }>> {
    const started = manager.clock.monotonic();
    let last: Verdict = { kind: 'unapproved' };
    const progress: Progress = (verdict, waitedMs) => {
      last = verdict;
      // Being worked on is no problem; waiting for something for a while is.
      if (verdict.kind === 'pending' && waitedMs < QUIET_MS) return;
      waitingFor = verdictProblem(subject, verdict as Exclude<Verdict, { kind: 'issued' }>, waitedMs);
      tell();
    };
    let outcome: Outcome;
    try {
      outcome = await begin(progress);
    } catch (error) {
      // A call that was given up is no request that was not signed: the API server has not answered.
      const unanswered = error instanceof KubeError && !closing.signal.aborted;
      if (signal.aborted && !unanswered) throw endOf(last, manager.clock.monotonic() - started);
      if (error instanceof KubeError) throw callProblem(subject, error, 'create CertificateRequests', 'create');
      throw error;
    }
    waitingFor = undefined;
    tell();
    if (outcome.kind === 'deleted') throw deleted(subject);
    if (outcome.kind !== 'issued') throw verdictProblem(subject, outcome, manager.clock.monotonic() - started);
    manager.log.debug('a CertificateRequest was signed', {
      mesh: config.mesh,
      backend: config.name,
      request: object.metadata.name,
      ms: Math.round(manager.clock.monotonic() - started),
    });
    return outcome;
  }

  function endOf(last: Verdict, waitedMs: number): CaError {
    if (closing.signal.aborted)
      return new CaError('unavailable', `backend "${config.name}" of mesh ${config.mesh} was closed`);
    if (last.kind === 'issued') return new CaError('timeout', 'the answer came too late');
    return verdictProblem(subject, last, waitedMs);
  }

  /** The answer, put in order for whoever checks it. */
  function chainOf(
    { certificate, ca }: { certificate: string; ca: string },
    publicKey: Uint8Array,
    dnsNames: readonly string[],
  ): Chain {
    const read = <T>(what: string, parse: () => T): T => {
      try {
        return parse();
      } catch (error) {
        const reason = error instanceof Error ? error.message : 'cannot be read';
        throw verdictProblem(subject, { kind: 'garbage', message: `a ${what} that cannot be used (${reason})` }, 0);
      }
    };
    const pem = read('status.certificate', () => arrangeChain(certificate, publicKey, CHAIN_LIMITS));
    const names = dnsNames.length === 0 ? {} : { dnsNames };
    if (conf.caCert !== undefined) return { pem, ...names };
    if (ca.trim() === '') throw noCa(subject);
    const anchorsPem = read('status.ca', () => {
      const certificates = parseCertificates(ca, CHAIN_LIMITS);
      return formatCertificates(certificates.map((der) => readNode(der).raw));
    });
    return { pem, anchorsPem, ...names };
  }

  return {
    announcesWithAnswers: conf.caCert === undefined,
    async trustAnchors(signal) {
      if (conf.caCert === undefined) {
        return learnAnchors(config, ask, deps.now, signal);
      }
      if (signal.aborted) throw new CaError('timeout', 'the call was cancelled before it began');
      try {
        givenAnchors = await loadCaCert(config, conf.caCert, deps);
        return givenAnchors;
      } catch (error) {
        const reason = error instanceof Error ? error.message : 'cannot be read';
        const where = `backend "${config.name}" of mesh ${config.mesh}: conf.caCert`;
        throw new CaError('not-configured', `${where} ${reason}`, { reason: 'CaCertificateInvalid', cause: error });
      }
    },
    sign: ask,
    async resume(proxy, uriSans, signal): Promise<PendingRequest | undefined> {
      await unlessAborted(manager.settled(), signal);
      const { order, names } = orderFor(proxy, uriSans);
      const found = manager.requests.find((request) => isFor(request, order));
      const sealedKey = found === undefined ? undefined : sealedKeyOf(found);
      if (found === undefined || sealedKey === undefined) return undefined;
      return {
        sealedKey,
        async finish(ended) {
          const limited = AbortSignal.any([ended, closing.signal]);
          const outcome = await track(
            run(found, limited, (progress) => manager.requests.adopt(found, progress, limited)),
          );
          return chainOf(outcome, await publicKeyOf(found), names.dnsNames);
        },
      };
    },
    notices(listener) {
      listeners.add(listener);
      queueMicrotask(tell);
    },
    async close() {
      unsubscribe();
      listeners.clear();
      closing.abort();
      await Promise.allSettled(running);
      await manager.requests.cleaned();
    },
  };
}

/** An issuer that cannot be looked at: not yet, not allowed, or of a group that is not cert-manager's. */
const UNSEEN = '';
/** A request may be pending so long without anybody being told. */
const QUIET_MS = 1500;

async function publicKeyOf(request: CertificateRequest): Promise<Uint8Array> {
  const pem = Buffer.from(request.spec.request, 'base64').toString('utf8');
  return (await inspectCsr(parsePem(pem)[0]!.der)).publicKey;
}

/** `promise`, or a `CaError` when `signal` aborts first. */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new CaError('timeout', 'cert-manager could not be watched in time'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  try {
    await Promise.race([promise, stopped]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
