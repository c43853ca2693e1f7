/** Runs one Envoy, and a new one whenever it dies. */
import type { ChildProcess } from 'node:child_process';
import { backoffMs } from '../lib/backoff.ts';
import type { Logger } from '../lib/log.ts';
import { waitFor } from '../lib/wait.ts';
import { createEnvoyLog } from './envoy-log.ts';
import { codeOf } from './error.ts';
import { childProcess, fs } from './node.ts';

export interface EnvoyRun {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `setpriv` of util-linux, so that Envoy dies with its launcher even by SIGKILL; '' when it is not on this machine. */
  readonly setpriv: string;
  /** Files that a dead Envoy leaves behind and a new one can't start over. */
  readonly staleFiles: readonly string[];
  /** For the launcher's own lines. */
  readonly log: Logger;
  /** For Envoy's lines. */
  readonly envoyLog: Logger;
  /** Left out of Envoy's lines. */
  readonly secrets: readonly string[];
  readonly onStart: (pid: number) => void;
  readonly onExit: () => void;
  readonly random: () => number;
  /** Ends it: SIGTERM, and SIGKILL after `STOP_GRACE_MS`. */
  readonly signal: AbortSignal;
}

/** How long Envoy may take to end after SIGTERM. */
const STOP_GRACE_MS = 5000;
const BASE_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 30_000;
/** An Envoy that lived this long starts the backoff anew. */
const STEADY_MS = 60_000;

/** Keeps Envoy running until `signal` aborts; resolves when no Envoy of it is left. Never gives up, never rejects. */
export async function superviseEnvoy(run: EnvoyRun): Promise<void> {
  let failures = 0;
  while (!run.signal.aborted) {
    for (const path of run.staleFiles) fs.rmSync(path, { force: true });
    const startedAt = performance.now();
    const end = await runOnce(run);
    if (run.signal.aborted) return;
    const livedMs = performance.now() - startedAt;
    failures = livedMs >= STEADY_MS ? 1 : failures + 1;
    const retryInMs = Math.round(
      backoffMs(failures, { baseMs: BASE_BACKOFF_MS, maxMs: MAX_BACKOFF_MS, jitter: 0.2, random: run.random() }),
    );
    run.log.error('Envoy ended by itself and is started again', {
      reason: end.reason,
      livedMs: Math.round(livedMs),
      retryInMs,
      lastLines: end.tail,
    });
    await waitFor(retryInMs, run.signal);
  }
}

async function runOnce(run: EnvoyRun): Promise<{ reason: string; tail: readonly string[] }> {
  const lines = createEnvoyLog(run.envoyLog, run.secrets);
  const [program, args] = run.setpriv
    ? [run.setpriv, ['--pdeathsig', 'KILL', run.path, ...run.args]]
    : [run.path, run.args];
  // A process group of its own: Ctrl-C in a terminal must reach the launcher only, which then drains.
  const child = childProcess.spawn(program, args, {
    env: { ...run.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const exited = exitOf(child);
  child.stdout.on('data', (chunk: Buffer) => lines.write(chunk));
  child.stderr.on('data', (chunk: Buffer) => lines.write(chunk));
  if (child.pid !== undefined) run.onStart(child.pid);

  let killTimer: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill('SIGTERM');
    killTimer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  };
  if (run.signal.aborted) stop();
  else run.signal.addEventListener('abort', stop, { once: true });
  const reason = await exited;
  run.signal.removeEventListener('abort', stop);
  clearTimeout(killTimer);
  lines.end();
  run.onExit();
  return { reason, tail: lines.tail() };
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      // Also a failed kill comes here; then the exit still follows.
      if (child.pid === undefined) resolve(`it does not start: ${codeOf(error) || error.message}`);
    });
    child.once('close', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
  });
}
