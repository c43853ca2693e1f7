/** A process that stands for leader of the database in its argument (JSON), says `leading` when it is, and never steps down by itself. */
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import type { PostgresAddress } from '../../src/store/postgres/connect.ts';
import { createPostgresLeaderElection } from '../../src/store/postgres/leader.ts';

const address = JSON.parse(process.argv[2] ?? '') as PostgresAddress;
const election = createPostgresLeaderElection({ address, clock: systemClock, log: silentLogger });
const forever = new AbortController().signal;
await election.run(async () => {
  process.stdout.write('leading\n');
  await new Promise(() => setInterval(() => undefined, 60_000));
}, forever);
