/** What a `weft dp run` process becomes once everything is prepared: see `dataplane/hand-over.ts`. Not started by hand. */
import { receiveHandOver } from '../dataplane/hand-over.ts';
import { createProcessLogs, runWithSignals } from '../dataplane/process.ts';
import { superviseDataplane } from '../dataplane/supervise.ts';

const prepared = receiveHandOver(process.env);
if (prepared) {
  process.title = `weft dp run ${prepared.proxy}`;
  const logs = createProcessLogs(prepared.logLevel);
  process.exitCode = await runWithSignals((drain, stop) =>
    superviseDataplane(prepared, { env: process.env, ...logs, random: Math.random, drain, stop }),
  );
} else {
  process.stderr.write('weft: start a proxy with: weft dp run\n');
  process.exitCode = 1;
}
