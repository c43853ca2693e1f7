import { uptime } from 'node:os';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { createSteadyClock, type SteadyClock } from '../lib/steady-clock.ts';

/** The time that certificates go by: it does not jump when somebody sets the machine's clock, which is logged. */
export function createCertificateClock(clock: Clock, log: Logger): SteadyClock {
  return createSteadyClock(clock, {
    uptimeMs: () => uptime() * 1000,
    stepped: ({ byMs, believed }) =>
      log.warn('the clock of this machine was set', {
        byMs,
        certificates: believed
          ? 'go by it from now on'
          : `go on by the time before; ${byMs > 0 ? 'they follow in five minutes' : 'restart this control plane when the new time is right'}`,
      }),
  });
}
