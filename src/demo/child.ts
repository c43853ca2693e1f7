import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { DemoError } from './error.ts';

export interface ChildStart {
  /** As people read it: `control plane`. */
  readonly name: string;
  /** Node script and its arguments. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** File that takes both outputs. */
  readonly logFile: string;
  /** `setpriv` of util-linux: the child gets SIGTERM when this process dies, however it dies. '' when the machine has none. */
  readonly setpriv: string;
}

/** A process of the demo. It is in a process group of its own: Ctrl-C reaches `weft up` only, which ends the others in order. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Rejects with `child_ended` when the process ends without having been told to; never resolves. */
  readonly failed: Promise<never>;
  /** SIGTERM, and SIGKILL after `graceMs`. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

const TAIL_LINES = 15;

/** Starts Node on a script. */
export function startChild(start: ChildStart): Child {
  const log = openSync(start.logFile, 'a', 0o600);
  const command = [process.execPath, ...start.args];
  const [program, ...args] = start.setpriv ? [start.setpriv, '--pdeathsig', 'TERM', ...command] : command;
  const child: ChildProcess = spawn(program!, args, {
    env: { ...start.env },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  let told = false;
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
  });
  const failed = ended.then((how): Promise<never> => {
    if (told) return new Promise(() => {});
    throw new DemoError(
      'child_ended',
      `${start.name} ended by itself (${how}); its last lines:\n${tailOf(start.logFile)}`,
    );
  });
  // Whoever waits for something races it with this; when nobody waits, nobody needs to know.
  failed.catch(() => {});
  return {
    name: start.name,
    pid: child.pid ?? 0,
    failed,
    async stop(graceMs) {
      told = true;
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

function tailOf(path: string): string {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES);
  return lines.map((line) => `  ${line}`).join('\n');
}
