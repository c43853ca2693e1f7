import { tearDown } from './state-directory.ts';

/**
 * A process beside a cluster: `node watchdog.ts DIRECTORY`. Its standard input is a pipe from the test process; when that ends, however it
 * ends, the pipe closes, and the watchdog takes the cluster down.
 */
process.stdin.resume();
process.stdin.once('close', () => {
  void tearDown(process.argv[2] ?? '').then(() => process.exit(0));
});
