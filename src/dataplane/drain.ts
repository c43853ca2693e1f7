import type { Logger } from '../lib/log.ts';
import { waitFor } from '../lib/wait.ts';
import { callAdmin } from './envoy-admin.ts';
import { messageOf } from './error.ts';
import { fs } from './node.ts';

export interface Drain {
  /** File in which Envoy wrote the address of its admin API. */
  readonly adminAddressPath: string;
  readonly drainTimeMs: number;
  readonly log: Logger;
  /** Ends the waiting. */
  readonly stop: AbortSignal;
}

/**
 * Lets connections end: health checks fail, inbound listeners ask their clients to go, and `drainTimeMs` passes. An Envoy that
 * can't be asked has nothing to drain, so then it returns at once. Source: Kuma 2.11 `run.go`, Envoy admin `drain_listeners`.
 */
export async function drainEnvoy(drain: Drain): Promise<void> {
  try {
    const address = fs.readFileSync(drain.adminAddressPath, 'utf8').trim();
    await ask(address, '/healthcheck/fail');
    await ask(address, '/drain_listeners?inboundonly&graceful&skip_exit');
  } catch (error) {
    drain.log.warn('Envoy could not be drained', { reason: messageOf(error) });
    return;
  }
  drain.log.info('draining connections', { waitMs: drain.drainTimeMs });
  await waitFor(drain.drainTimeMs, drain.stop);
}

async function ask(address: string, path: string): Promise<void> {
  const { status } = await callAdmin(address, 'POST', path);
  if (status !== 200) throw new Error(`POST ${path} answered ${status}`);
}
