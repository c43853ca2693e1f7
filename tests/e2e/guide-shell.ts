import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

/** A ```sh block of a guide. `background`: goes on running. `elsewhere`: needs what a test has not, and is not run. */
export interface ShellBlock {
  readonly script: string;
  readonly kind: 'run' | 'background' | 'elsewhere';
}

/** The shell blocks of a guide, in order. Throws for a word after `sh` that means nothing here. */
export function shellBlocks(markdown: string): readonly ShellBlock[] {
  return [...markdown.matchAll(/^```sh(?: (\S+))?\n(.*?)^```$/gms)].map(([, word, script = '']) => {
    if (word !== undefined && word !== 'background' && word !== 'elsewhere')
      throw new Error(`a block is marked "${word}"`);
    return { script, kind: word ?? 'run' };
  });
}

/** Runs scripts as a reader would, from the root of the repository; ends the ones that still run. */
export interface GuideShell extends AsyncDisposable {
  /** Its exit code, and both outputs. */
  run(script: string): Promise<{ readonly code: number | null; readonly output: string }>;
  /** Leaves it running. */
  background(script: string): void;
}

/** `prologue` goes before each script: exports and functions. */
export function createGuideShell(prologue: string, env: NodeJS.ProcessEnv): GuideShell {
  const children: ChildProcess[] = [];
  const start = (script: string) => {
    const child = spawn('bash', ['-c', `set -euo pipefail\n${prologue}\n${script}`], {
      cwd: ROOT,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    return child;
  };
  return {
    async run(script) {
      const child = start(script);
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (chunk: string) => {
          output += chunk;
        });
      }
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      return { code, output };
    },
    background(script) {
      const child = start(script);
      for (const stream of [child.stdout, child.stderr]) stream.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) {
        try {
          process.kill(-child.pid!, 'SIGTERM');
        } catch {
          // It ended by itself.
        }
      }
      await Promise.all(
        children.map(
          (child) => child.exitCode ?? child.signalCode ?? new Promise((resolve) => child.once('exit', resolve)),
        ),
      );
    },
  };
}

/** `weft` as the guides have it, compiled. */
export const WEFT_FUNCTION = `weft() { "${process.execPath}" "${ROOT}/dist/bin/weft.js" "$@"; }`;
