/**
 * Rehearsal of a CA backend: everything that happens to a real leaf happens to one that nobody uses, step by step, with its time.
 *
 * ```
 * trust anchors ──> rights (the kind's own) ──> issue ──> check ──> handshake
 * ```
 */
import {
  type BackendConfig,
  type CaBackend,
  type CaBackendKind,
  type CaDependencies,
  CaError,
  type Chain,
  type RehearsalFinding,
} from '../ca/backend.ts';
import { keyOf } from '../ca/own-leaf.ts';
import type { Clock } from '../lib/clock.ts';
import { createCsr } from '../x509/csr.ts';
import { generateEcKey, type KeyPair, toPkcs8Pem } from '../x509/key.ts';
import { createTrustStore, type VerifiedLeaf, verifyLeaf } from '../x509/verify.ts';
import { withDeadline } from './mesh-backends.ts';
import { probeHandshake } from './probe-handshake.ts';

/** Long enough for every issuer, short enough that nobody can use it. */
const PROBE_LIFETIME_MS = 3_600_000;
const PROBE_SERVICE = 'weft-probe';

export type RehearsalStepName = 'trust' | 'rights' | 'issue' | 'check' | 'handshake';

export interface RehearsalStep {
  readonly name: RehearsalStepName;
  readonly ok: boolean;
  readonly ms: number;
  /** What was found, or what is in the way; one line. */
  readonly message: string;
}

export interface Rehearsal {
  readonly ok: boolean;
  /** In order, up to the first that failed or found something. */
  readonly steps: readonly RehearsalStep[];
  /** What is in the way, with its field in the Mesh and something to paste. Empty when all is well. */
  readonly findings: readonly RehearsalFinding[];
}

export interface RehearsalOptions {
  readonly kind: CaBackendKind;
  readonly config: BackendConfig;
  /** `mtls.backends[i].conf` */
  readonly path: string;
  readonly deps: CaDependencies;
  readonly clock: Clock;
  /** For all of it. */
  readonly timeoutMs: number;
}

/** Never rejects for what the backend or its answer does: that is a step that is not `ok`. */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  const { kind, config, path, deps, clock, timeoutMs } = options;
  const steps: RehearsalStep[] = [];
  const findings: RehearsalFinding[] = [];
  const giveUpAt = clock.monotonic() + timeoutMs;

  /** Runs one step within what is left of the time; `undefined`: it failed. */
  async function step<T>(
    name: RehearsalStepName,
    run: (signal: AbortSignal) => Promise<readonly [result: T, message: string]>,
  ): Promise<T | undefined> {
    const started = clock.monotonic();
    const ms = () => Math.round(clock.monotonic() - started);
    try {
      const [result, message] = await withDeadline(Math.max(1, giveUpAt - started), run);
      steps.push({ name, ok: true, ms: ms(), message });
      return result;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      steps.push({ name, ok: false, ms: ms(), message });
      const { fix, field = '' } = error instanceof CaError ? error : { fix: undefined };
      findings.push({
        field: field === '' ? path : `${path}.${field}`,
        message: `${DOING[name]}: ${message}`,
        ...(fix === undefined ? {} : { fix }),
      });
      return undefined;
    }
  }

  async function walk(ca: CaBackend): Promise<void> {
    const announced = ca.announcesWithAnswers === true ? '' : await step('trust', (signal) => trustOf(ca, signal));
    if (announced === undefined) return;
    if (kind.rehearse !== undefined) {
      const found = await step('rights', async (signal) => rightsOf(await kind.rehearse!(config, path, deps, signal)));
      findings.push(...(found ?? []));
      // The probe would only say the same, with less to go by.
      if (found === undefined || found.length > 0) return;
    }
    const probe = createProbe(config, giveUpAt - clock.monotonic());
    const chain = await step('issue', async (signal) => issued(await ca.sign(probe.request, signal)));
    if (chain === undefined) return;
    const bundlePem = chain.anchorsPem ?? announced;
    const keys = await step('check', () => checkProbe(chain, probe, bundlePem, clock.now()));
    if (keys === undefined) return;
    const leaf = {
      chainPem: chain.pem,
      keyPem: toPkcs8Pem(keys.privateKey),
      bundlePem,
      spiffeId: probe.request.uriSans[0]!,
    };
    await step('handshake', async (signal) => [
      undefined,
      `${await probeHandshake(leaf, signal)}, both sides verified`,
    ]);
  }

  const ca = kind.open(config, deps);
  try {
    await walk(ca);
  } finally {
    await ca.close?.().catch(() => undefined);
  }
  return { ok: findings.length === 0, steps, findings };
}

const DOING: Readonly<Record<RehearsalStepName, string>> = {
  trust: 'ask what to trust',
  rights: 'look at what is allowed',
  issue: 'issue a probe certificate',
  check: 'check the probe certificate',
  handshake: 'handshake with the probe certificate',
};

async function trustOf(ca: CaBackend, signal: AbortSignal): Promise<readonly [string, string]> {
  const { pem, issuingPem = pem } = await ca.trustAnchors(signal);
  const { anchors } = await createTrustStore(issuingPem);
  return [issuingPem, anchors.map(({ facts }) => facts.subjectText || 'a CA without a name').join('; ')];
}

function rightsOf(found: readonly RehearsalFinding[]): readonly [readonly RehearsalFinding[], string] {
  return [found, found.length === 0 ? 'nothing is missing' : `${found.length} found to be mended`];
}

interface Probe {
  readonly request: Parameters<CaBackend['sign']>[0];
  readonly keys: KeyPair;
}

/** As a proxy of a service asks, with names that no proxy has. */
function createProbe(config: BackendConfig, timeoutMs: number): Probe {
  const keys = generateEcKey();
  const uriSans = [`spiffe://${config.mesh}/${PROBE_SERVICE}`, `kuma://kuma.io/service/${PROBE_SERVICE}`];
  return {
    keys,
    request: {
      proxy: '',
      csr: (names) => createCsr(keys, uriSans, names),
      publicKey: keys.publicKey,
      uriSans,
      lifetimeMs: Math.min(PROBE_LIFETIME_MS, config.leafLifetimeMs ?? PROBE_LIFETIME_MS),
      timeoutMs: Math.max(1, timeoutMs),
    },
  };
}

function issued(chain: Chain): readonly [Chain, string] {
  const withKey = 'issued with a key that the issuer made, so `weft dp run` needs `--keys control-plane`';
  return [chain, chain.privateKeyPem === undefined ? 'signed' : withKey];
}

async function checkProbe(
  chain: Chain,
  { request, keys: own }: Probe,
  bundlePem: string,
  now: number,
): Promise<readonly [KeyPair, string]> {
  const keys = keyOf(chain, own);
  const verdict = await verifyLeaf(chain.pem, {
    keys,
    uriSans: request.uriSans,
    ...(chain.dnsNames === undefined ? {} : { dnsNames: chain.dnsNames }),
    trust: await createTrustStore(bundlePem),
    now,
  });
  if (!verdict.ok) throw new CaError('invalid-answer', `it is refused (${verdict.code}): ${verdict.message}`);
  return [keys, leafText(verdict.leaf)];
}

function leafText({ serial, issuer, notAfter }: VerifiedLeaf): string {
  return `serial ${serial}, issued by ${issuer || 'a CA without a name'}, valid until ${new Date(notAfter).toISOString()}`;
}
