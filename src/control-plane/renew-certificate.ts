import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { sleep } from '../lib/wait.ts';
import type { ServerCertificate } from './server-certificate.ts';

/** Files are looked at, and the end of our own certificate is, once an hour: it is replaced two months before. */
const LOOK_MS = 3_600_000;

/** Hands on a server certificate whenever `load` gives another one, until `signal` aborts. What cannot be loaded or used leaves the old one in place. */
export async function followCertificate(options: {
  load: () => Promise<ServerCertificate>;
  current: ServerCertificate;
  use: (certificate: ServerCertificate) => void;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { clock, log, signal } = options;
  let current = options.current;
  for (;;) {
    await sleep(clock, LOOK_MS, signal);
    if (signal.aborted) return;
    try {
      const next = await options.load();
      if (next.certPem === current.certPem) continue;
      options.use(next);
      current = next;
      log.info('server certificate replaced');
    } catch (error) {
      log.warn('looking for a new server certificate failed, the old one stays', { error });
    }
  }
}
