import type { Logger } from '../lib/log.ts';
import { aborted } from '../lib/wait.ts';
import { drainEnvoy } from './drain.ts';
import { superviseEnvoy } from './envoy-process.ts';
import { createKeyKeeper } from './keys/key-keeper.ts';
import type { PreparedDataplane } from './prepare.ts';
import { createReadiness } from './readiness.ts';
import { openWorkdir } from './workdir.ts';

export interface Supervision {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** For Envoy's own lines, which Envoy has filtered already. */
  readonly envoyLog: Logger;
  readonly random: () => number;
  /** Drain, then stop. */
  readonly drain: AbortSignal;
  /** Stop now; also ends a drain. */
  readonly stop: AbortSignal;
}

/**
 * Keeps Envoy running until `drain` or `stop` aborts; then nothing of it is left: no process, no file. Rejects only when the
 * folder or the readiness endpoint can't be made.
 */
export async function superviseDataplane(prepared: PreparedDataplane, supervision: Supervision): Promise<void> {
  const { log, drain, stop } = supervision;
  if (drain.aborted || stop.aborted) return;
  const { workdir } = prepared;
  const removeWorkdir = openWorkdir(workdir, prepared.bootstrap);
  try {
    const { keys } = prepared;
    await using keeper = keys && (await createKeyKeeper(keys, { log, random: supervision.random, now: Date.now }));
    const end = new AbortController();
    const running = { ready: (_up: boolean) => {} };
    if (!prepared.setpriv) log.debug('setpriv was not found: should this launcher be killed, Envoy lives on');
    const supervised = superviseEnvoy({
      path: prepared.envoyPath,
      args: prepared.envoyArgs,
      env: supervision.env,
      setpriv: prepared.setpriv,
      staleFiles: [workdir.adminSocket, workdir.adminAddress].filter((path) => path !== ''),
      log,
      envoyLog: supervision.envoyLog,
      secrets: [prepared.token],
      onStart: (pid) => {
        log.info('Envoy started', {
          proxy: prepared.proxy,
          pid,
          path: prepared.envoyPath,
          version: prepared.envoyVersion,
        });
        keeper?.envoyStarted();
        running.ready(true);
      },
      onExit: () => running.ready(false),
      random: supervision.random,
      signal: end.signal,
    });
    try {
      await using readiness = prepared.readinessPort > 0 ? await createReadiness(prepared.readinessPort) : undefined;
      running.ready = (up) => readiness?.setReady(up);
      running.ready(true);
      await Promise.race([aborted(drain), aborted(stop)]);
      readiness?.terminate();
      if (!stop.aborted)
        await drainEnvoy({ adminAddressPath: workdir.adminAddress, drainTimeMs: prepared.drainTimeMs, log, stop });
      log.info('stopping Envoy', { proxy: prepared.proxy });
    } finally {
      end.abort();
      await supervised;
    }
  } finally {
    removeWorkdir();
  }
}
