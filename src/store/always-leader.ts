import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { serveTerm } from './leader-term.ts';
import type { LeaderElection } from './store.ts';

/** For stores that only one process can open (memory, SQLite): that process leads from the first moment to the last. */
export function alwaysLeader(options: { clock: Clock; log: Logger }): LeaderElection {
  let leading = false;
  return {
    async run(lead, signal) {
      if (signal.aborted) return;
      leading = true;
      const end = () => {
        leading = false;
      };
      signal.addEventListener('abort', end, { once: true });
      await serveTerm(lead, { ...options, signal });
    },
    isLeader: () => leading,
  };
}
