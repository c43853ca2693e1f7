import { VERSION } from '../../control-plane/version.ts';
import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import { connectKubernetes } from '../../k8s/api/connect.ts';
import { parseThreshold, type Threshold } from '../../lib/expiry-threshold.ts';
import { waitFor } from '../../lib/wait.ts';
import { environmentOf } from '../check/environment.ts';
import { gatherKubernetes } from '../check/gather-kubernetes.ts';
import { gatherUniversal } from '../check/gather-universal.ts';
import { checkKubernetes } from '../check/kubernetes-facts.ts';
import { buildReport, type CheckReport } from '../check/report.ts';
import { reportText } from '../check/report-text.ts';
import { CA_THRESHOLD, LEAF_THRESHOLD } from '../check/thresholds.ts';
import { checkUniversal } from '../check/universal-facts.ts';
import { durationOption, flagOption, type Invocation, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { printText } from '../output/print.ts';

const SYSTEM_NAMESPACE = 'kong-mesh-system';
const TRIAL_MS = 10_000;
const LOOK_EVERY_MS = 1000;

/** `weft check`. Exit code 1 when a check failed, 2 when nothing could be checked. */
export async function run(invocation: Invocation): Promise<void> {
  const { io } = invocation;
  const waitMs = durationOption(invocation, 'wait', 'wait') ?? 0;
  const lookOnce = await prepare(invocation);
  const giveUpAt = performance.now() + waitMs;
  let report = await lookOnce();
  for (let said = ''; !isGood(report, invocation) && performance.now() < giveUpAt && !io.signal.aborted; ) {
    const waiting = waitingFor(report);
    if (waiting !== said) io.stderr(`waiting: ${waiting}\n`);
    said = waiting;
    await waitFor(Math.min(LOOK_EVERY_MS, giveUpAt - performance.now()), io.signal);
    report = await lookOnce();
  }
  if (io.signal.aborted) throw new CliError('unchecked', 'check: interrupted');
  const verbose = flagOption(invocation, 'verbose');
  const colour = io.terminal && !io.env['NO_COLOR'];
  await printText(invocation, reportText(report, { verbose, colour }), report);
  if (report.outcome === 'unchecked') throw new CliError('unchecked', `check: ${report.target} does not answer`);
  if (!isGood(report, invocation)) {
    const { fail, warn } = report.counts;
    throw new CliError('server', `check: ${fail} failed, ${warn} ${warn === 1 ? 'warning' : 'warnings'}`);
  }
}

function isGood({ outcome }: CheckReport, invocation: Invocation): boolean {
  return outcome === 'ok' || (outcome === 'warn' && !textOption(invocation, 'failOn')?.startsWith('warn'));
}

/** The first thing that is not good, for the person who waits. */
function waitingFor({ checks }: CheckReport): string {
  const bad = checks.find(({ outcome }) => outcome === 'fail') ?? checks.find(({ outcome }) => outcome === 'warn');
  return bad === undefined ? '' : `${bad.id}: ${bad.message}`;
}

/** Reads flags and credentials once; each call of what comes back gathers and judges anew. Throws `usage` and `unchecked`. */
async function prepare(invocation: Invocation): Promise<() => Promise<CheckReport>> {
  const { io } = invocation;
  const every = thresholdOption(invocation, 'expiresIn', 'expires-in');
  const thresholds = {
    version: VERSION,
    leafThreshold: thresholdOption(invocation, 'leafExpiresIn', 'leaf-expires-in') ?? every ?? LEAF_THRESHOLD,
    caThreshold: thresholdOption(invocation, 'caExpiresIn', 'ca-expires-in') ?? every ?? CA_THRESHOLD,
  };
  if ((await environmentOf(invocation)) === 'universal') {
    const client = await openClient(invocation).catch((error: unknown) => {
      throw error instanceof CliError ? unchecked(error.message, error.next) : error;
    });
    return async () => {
      const facts = await gatherUniversal({ client, io, ...thresholds });
      return buildReport({ environment: 'universal', target: client.url, now: facts.now }, checkUniversal(facts));
    };
  }
  const namespace = textOption(invocation, 'namespace') ?? SYSTEM_NAMESPACE;
  const client = await connect(invocation);
  return async () => {
    const facts = await gatherKubernetes({
      client,
      namespace,
      ...thresholds,
      trialMs: flagOption(invocation, 'issue') ? TRIAL_MS : undefined,
      now: io.now,
      signal: io.signal,
    });
    const head = { environment: 'kubernetes', target: client.server, namespace, now: facts.now } as const;
    return buildReport(head, checkKubernetes(facts));
  };
}

async function connect(invocation: Invocation): Promise<KubeClient> {
  const { env } = invocation.io;
  const kubeconfig = textOption(invocation, 'kubeconfig');
  const context = textOption(invocation, 'kubeContext');
  try {
    return await connectKubernetes({
      env,
      // Each costs a TLS handshake on both sides.
      connections: 8,
      deadlineMs: durationOption(invocation, 'apiTimeout', 'api-timeout') ?? 10_000,
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      ...(context === undefined ? {} : { context }),
    });
  } catch (error) {
    if (error instanceof KubeError) throw unchecked(error.message, 'give one with --kubeconfig, or set KUBECONFIG');
    throw error;
  }
}

function thresholdOption(invocation: Invocation, name: string, flag: string): Threshold | undefined {
  const text = textOption(invocation, name);
  if (text === undefined) return undefined;
  const threshold = parseThreshold(text);
  if (threshold === undefined) {
    throw usageError(`--${flag}: "${text}" is neither a share nor a duration`, 'give it as 20%, 48h or 30d');
  }
  return threshold;
}

function unchecked(message: string, next: string | undefined): CliError {
  return new CliError('unchecked', message, next === undefined ? {} : { next });
}
