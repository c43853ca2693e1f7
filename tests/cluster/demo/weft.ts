import { execute } from '../../../src/cli/main.ts';

/** One call of `weft`: its standard output; throws with its standard error when it fails. */
export type WeftCommand = (...argv: readonly string[]) => Promise<string>;

/** `weft` in this process, with nothing of the user's own configuration. */
export function createWeft(signal: AbortSignal): WeftCommand {
  return async (...argv) => {
    let output = '';
    let errors = '';
    const code = await execute(argv, {
      stdout: (text) => {
        output += text;
      },
      stderr: (text) => {
        errors += text;
      },
      readStdin: async () => '',
      env: {},
      home: '/nonexistent',
      now: Date.now,
      interactive: false,
      terminal: false,
      signal,
    });
    if (code !== 0) throw new Error(`weft ${argv.join(' ')}: ended with ${code}: ${errors.trim()}`);
    return output;
  };
}
