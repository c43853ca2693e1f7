/**
 * Entry of the executable. Loads only what the called command needs: `dp run` and `dp bootstrap` never load the command-line parser or a schema library,
 * since the one stays beside every workload and the other starts before it.
 */
import { homedir } from 'node:os';
import { EXIT, reportError } from './errors.ts';
import type { CliIo } from './io.ts';

/** Runs one command line (without the program name) in this process; the exit code comes back, nothing exits by itself. */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === 'dp' && argv[1] === 'run') {
    const [{ dataplaneMain }, { launcherVersion }] = await Promise.all([
      import('../dataplane/run.ts'),
      import('./version.ts'),
    ]);
    return dataplaneMain(argv.slice(2), launcherVersion());
  }
  if (argv[0] === 'dp' && argv[1] === 'bootstrap') {
    const [{ bootstrapMain }, { launcherVersion }] = await Promise.all([
      import('../dataplane/bootstrap.ts'),
      import('./version.ts'),
    ]);
    return bootstrapMain(argv.slice(2), launcherVersion());
  }
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(EXIT.failure);
    stop.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  // A reader that went away (`weft get ... | head`) is the end of the work, not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failure),
  );
  const io: CliIo = {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    readStdin: async () => {
      let text = '';
      for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
      return text;
    },
    env: process.env,
    home: process.env['HOME'] || homedir(),
    now: Date.now,
    interactive: process.stderr.isTTY === true,
    terminal: process.stdout.isTTY === true,
    signal: stop.signal,
  };
  return execute(argv, io);
}

/** Runs one command line with the given surroundings. */
export async function execute(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    if (argv[0] === '__complete') {
      const { complete } = await import('./commands/complete.ts');
      return await complete(argv.slice(1), io);
    }
    const { parseAndRun } = await import('./program.ts');
    return await parseAndRun(argv[0] === '--version' ? ['version', ...argv.slice(1)] : argv, io);
  } catch (error) {
    return reportError(error, io, wantsJson(argv));
  }
}

/** Whether `-o json` was asked for, also when the command line could not be parsed. */
function wantsJson(argv: readonly string[]): boolean {
  return argv.some(
    (word, index) =>
      word === '-ojson' ||
      word === '--output=json' ||
      ((word === '-o' || word === '--output') && argv[index + 1] === 'json'),
  );
}
