import type { Logger } from '../lib/log.ts';
import { messageOf } from './error.ts';
import { createLineLogger } from './line-log.ts';

/**
 * Runs `work` as the main work of this process and gives the exit code: 0, or 1 with the error on stderr. The first SIGTERM or
 * SIGINT aborts `drain`, a second one `stop`.
 */
export async function runWithSignals(work: (drain: AbortSignal, stop: AbortSignal) => Promise<void>): Promise<number> {
  const drain = new AbortController();
  const stop = new AbortController();
  const onSignal = () => (drain.signal.aborted ? stop.abort() : drain.abort());
  const names = ['SIGTERM', 'SIGINT'] as const;
  for (const name of names) process.on(name, onSignal);
  // A log reader that went away must not take the proxy with it.
  process.stderr.on('error', () => {});
  try {
    await work(drain.signal, stop.signal);
    return 0;
  } catch (error) {
    process.stderr.write(`weft: ${messageOf(error)}\n`);
    return 1;
  } finally {
    for (const name of names) process.off(name, onSignal);
  }
}

/** Loggers to stderr: the launcher's own at `level`, and Envoy's, which Envoy itself filters. */
export function createProcessLogs(level: string): { log: Logger; envoyLog: Logger } {
  const write = (line: string) => void process.stderr.write(line);
  return { log: createLineLogger(level, write, 'dataplane'), envoyLog: createLineLogger('debug', write, 'envoy') };
}
