import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProcess, recordProcess } from './state-directory.ts';

export interface ProgramOptions {
  /** The cluster's state directory: holds the log, and the command line must name it. */
  readonly directory: string;
  /** Name of the log file, without `.log`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A program of the cluster that is running. */
export interface Program {
  readonly pid: number;
  readonly logFile: string;
  /** Polls `check` until it is true. Rejects with the end of the program's log when it ends before, or after `timeoutMs`. */
  ready(check: () => Promise<boolean>, timeoutMs?: number): Promise<void>;
  /** Asks the program to end, kills it after `graceMs`. Twice is harmless. */
  stop(graceMs?: number): Promise<void>;
}

const READY_MS = 120_000;
const LOG_TAIL = 2000;

/** Starts a program in a process group of its own (a Ctrl-C for the test is not for it), logging to a file. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const { directory, name, command, args, env } = options;
  const logFile = join(directory, `${name}.log`);
  const log = openSync(logFile, 'a');
  const child = spawn(command, args, {
    cwd: directory,
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
  });
  closeSync(log);
  await started(child, command);
  const pid = child.pid!;
  recordProcess(directory, pid);
  child.unref();

  return {
    pid,
    logFile,
    async ready(check, timeoutMs = READY_MS) {
      for (const until = Date.now() + timeoutMs; !(await check().catch(() => false)); await sleep(50)) {
        const problem = hasEnded(child) ? `ended with ${child.exitCode ?? child.signalCode}` : 'is not ready';
        if (Date.now() < until && !hasEnded(child)) continue;
        throw new Error(`start ${name}: it ${problem}: ${readFileSync(logFile, 'utf8').slice(-LOG_TAIL)}`);
      }
    },
    stop: (graceMs) => endProcess(directory, pid, graceMs),
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function started(child: ChildProcess, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new Error(`start ${command}`, { cause })));
  });
}

/** Whether something takes connections on a port of 127.0.0.1. */
export function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
