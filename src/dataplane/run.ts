/**
 * `weft dp run`: one Envoy beside one workload. Reads token and resource, asks the control plane for the bootstrap, starts
 * Envoy on it, and from then on only watches, drains and stops: configuration and certificates go straight to Envoy over xDS.
 *
 *     prepare ── token, resource, envoy --version, POST /bootstrap ──> PreparedDataplane
 *     hand over: the same process becomes a small one, without TLS and flags (hand-over.ts)
 *     supervise ── workdir, Envoy, readiness, restarts; on SIGTERM drain, stop, clean
 *
 * It stands beside every proxy, so it imports Node's own modules and small files only. Source: Kuma 2.11 `app/kuma-dp`.
 */
import type { LauncherVersion } from './bootstrap-request.ts';
import {
  completeDataplaneOptions,
  type DataplaneOptions,
  describeDataplaneFlags,
  parseDataplaneFlags,
} from './flags.ts';
import { handOver } from './hand-over.ts';
import { type Preparation, prepareDataplane } from './prepare.ts';
import { createProcessLogs, runWithSignals } from './process.ts';
import { type Supervision, superviseDataplane } from './supervise.ts';

/**
 * Prepares and supervises in this process. Resolves when told to stop and nothing of it is left; rejects with a
 * `DataplaneError` when the proxy can't be started.
 */
export async function runDataplane(
  options: DataplaneOptions,
  run: Omit<Preparation, 'signal'> & Supervision,
): Promise<void> {
  const signal = AbortSignal.any([run.drain, run.stop]);
  const prepared = await prepareDataplane(options, { ...run, signal }).catch((error: unknown) => {
    // Told to stop before Envoy ran: that is a stop, not a failure.
    if (signal.aborted) return undefined;
    throw error;
  });
  if (prepared) await superviseDataplane(prepared, run);
}

/**
 * The whole of `weft dp run`, for an entry file: reads `argv` (what follows `dp run`), runs until SIGTERM or SIGINT, and gives
 * the exit code. The first signal drains, a second one stops at once. Errors go to stderr.
 */
export async function dataplaneMain(argv: readonly string[], launcher: LauncherVersion): Promise<number> {
  const { env, stderr } = process;
  return runWithSignals(async (drain, stop) => {
    const flags = parseDataplaneFlags(argv);
    if (flags['help'] === true) {
      process.stdout.write(describeDataplaneFlags());
      return;
    }
    const options = completeDataplaneOptions(flags, env);
    const logs = createProcessLogs(options.logLevel);
    const signal = AbortSignal.any([drain, stop]);
    try {
      const prepared = await prepareDataplane(options, {
        env,
        log: logs.log,
        launcher,
        screen: { isTTY: stderr.isTTY === true, write: (text) => void stderr.write(text) },
        readStdin,
        random: Math.random,
        randomName: process.getBuiltinModule('node:crypto').randomBytes(8).toString('hex'),
        signal,
      });
      if (!signal.aborted) handOver(prepared);
      await superviseDataplane(prepared, { env, ...logs, random: Math.random, drain, stop });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  });
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
